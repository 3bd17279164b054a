/**
 * A fixed, bounded list of package sources, on which false finds and speed of redaction are measured. All are dependencies of this house.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Libraries, tools and declarations of many hands: hashes, keys in examples, minified bundles, documentation. */
export const LISTED = [
  'zod',
  'openai',
  'commander',
  'yaml',
  '@noble/hashes',
  '@types/node',
  'fast-check',
  'expect',
  'jest-config',
  '@babel/core',
  'typescript',
  'semver',
] as const;
const ROOT = fileURLToPath(new URL('../../../node_modules/', import.meta.url));
const SOURCE = /\.(js|cjs|mjs|ts|mts|cts|json|md)$/;
const MAX_BYTES = 40e6;

export interface SourceFile {
  readonly packageName: string;
  readonly path: string;
  readonly content: Buffer;
}

/** Every source file of the listed packages, in the order of their names. Throws when a package is missing. */
export function packageSources(): readonly SourceFile[] {
  let bytes = 0;
  return LISTED.flatMap((packageName) =>
    (readdirSync(`${ROOT}${packageName}`, { recursive: true }) as string[])
      .filter((file) => SOURCE.test(file) && statSync(`${ROOT}${packageName}/${file}`).isFile())
      .sort()
      .flatMap((file): SourceFile[] => {
        if (bytes > MAX_BYTES) return [];
        const content = readFileSync(`${ROOT}${packageName}/${file}`);
        bytes += content.length;
        return [{ packageName, path: `${packageName}/${file}`, content }];
      }),
  );
}
