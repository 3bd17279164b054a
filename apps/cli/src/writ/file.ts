/**
 * Writs in files: a chain, root first, as canonical members in readable JSON. Must never take a file in part: what is not a chain is refused.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { ok, parseJson, type Result } from '@openexec/canon';
import { type SignedWrit, signedWrit } from '@openexec/protocol';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_CHAIN = 16;

/** Reads `{v: 1, writs: […]}`, or a single signed writ. */
export function readChain(file: string): Result<readonly SignedWrit[], Refusal> {
  const text = readText(file);
  if (text === null) return refuse('writ.invalid', `the writ "${safeLine(file)}" cannot be read`);
  const json = parseJson(text);
  if (!json.ok) return refuse('writ.invalid', `"${safeLine(file)}" is not a signed writ: ${json.error.message}`);
  const { value } = json;
  const chain = typeof value === 'object' && value !== null && 'writs' in value ? membersOf(value) : [value];
  if (chain === null || chain.length === 0 || chain.length > MAX_CHAIN)
    return refuse('writ.invalid', `"${safeLine(file)}" is not a chain: {"v": 1, "writs": [root, …, the run's own]}, at most ${MAX_CHAIN}`);
  const writs: SignedWrit[] = [];
  for (const [index, each] of chain.entries()) {
    const parsed = signedWrit.safeParse(each);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = `place ${index}${issue === undefined ? '' : `, ${issue.path.join('.')}: ${issue.message}`}`;
      return refuse('writ.invalid', `"${safeLine(file)}" is not a signed writ at ${where}`);
    }
    writs.push(parsed.data);
  }
  return ok(writs);
}

/** The text of a chain as a file holds it. */
export function chainText(writs: readonly SignedWrit[]): string {
  return `${JSON.stringify({ v: 1, writs }, null, 2)}\n`;
}

/** Writes a chain; a file that is there is not replaced. */
export function writeChain(file: string, writs: readonly SignedWrit[]): Result<void, Refusal> {
  try {
    writeFileSync(file, chainText(writs), { flag: 'wx' });
    return ok(undefined);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    return refuse(
      'usage.invalid',
      code === 'EEXIST'
        ? `"${safeLine(file)}" is there already; name another file`
        : `"${safeLine(file)}" cannot be written (${code ?? ''})`,
    );
  }
}

function membersOf(value: object): readonly unknown[] | null {
  const { v, writs, ...rest } = value as { readonly [name: string]: unknown };
  return v === 1 && Array.isArray(writs) && Object.keys(rest).length === 0 ? writs : null;
}

function readText(file: string): string | null {
  try {
    return statSync(file).size > MAX_BYTES ? null : readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
