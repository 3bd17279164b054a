/**
 * Where the published vectors lie, and how a suite says that they are missing. Must never copy a vector into the repository.
 */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from '@jest/globals';

const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const FOLDER = resolve(REPOSITORY, process.env['OPENEXEC_VECTORS'] ?? '../shared/vectors');

/** The path of a vector file or folder. */
export function vectorPath(name: string): string {
  return resolve(FOLDER, name);
}

/** A vector file of JSON, as the shape its test expects. */
export function vectorJson<T>(name: string): T {
  return JSON.parse(readFileSync(vectorPath(name), 'utf8')) as T;
}

/**
 * A suite over a vector folder. When the folder is absent its body does not run (it would read files); one skipped test says so instead.
 */
export function describeVectors(folder: string, body: () => void): void {
  describe(`published vectors: ${folder}`, () => {
    if (existsSync(vectorPath(folder))) body();
    else test.skip('skipped: the folder is absent, set OPENEXEC_VECTORS to where it is', () => {});
  });
}
