/** The verifier as it ships, and a bundle for it: a ledger with one finished run, made by the kernel. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildBundle, folderSink, writeTar } from '@openexec/audit';
import type { Digest } from '@openexec/canon';
import { FIX_LOOP, House, PEOPLE, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { formatVkey, publicKeyOf, seedSigner, signCheckpoint } from '@openexec/proof';
import { openBundle } from '@openexec/verify/files';

const HERE = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const ORIGIN = 'ledger.test/house';

/** A folder with the program, the page, a bundle as a folder and as one file, and the fingerprint of its ledger. */
export interface Shipped {
  readonly folder: string;
  readonly program: string;
  readonly page: string;
  readonly bundle: string;
  readonly archive: string;
  readonly fingerprint: Digest;
  remove(): void;
}

/** Builds the verifier and a bundle with `runs` finished runs. */
export async function ship(runs = 1): Promise<Shipped> {
  const folder = mkdtempSync(join(tmpdir(), 'openexec-verifier-'));
  const built = spawnSync(process.execPath, [join(HERE, 'scripts/build.mjs'), join(folder, 'dist')], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the verifier was not built: ${built.stderr}`);
  const house = await House.found();
  for (let at = 0; at < runs; at += 1) {
    const run = await RunDriver.open(house, { blueprint: FIX_LOOP });
    await run.play({ answers: [[writeFile(`src/f${at}.ts`, `export const f = ${at};\n`)], 'written'], tests: [true] });
  }
  const signer = seedSigner({ keyName: ORIGIN, seed: PEOPLE.log.seed });
  const { size, root } = await house.store.head();
  const note = await signCheckpoint({ origin: ORIGIN, size, root }, signer);
  if (!note.ok) throw new Error(note.error.message);
  const bundle = join(folder, 'bundle');
  mkdirSync(bundle);
  const made = await buildBundle(
    house.store,
    {
      scope: { is: 'ledger' },
      checkpoint: { size, note: note.value },
      vkeys: [formatVkey({ keyName: ORIGIN, publicKey: publicKeyOf(PEOPLE.log.seed) })],
      since: [],
      withhold: { payload: () => false, blob: () => false },
      governed: false,
      signer,
      reports: { baseFile: () => Promise.resolve(null) },
      stamp: null,
      more: [],
    },
    folderSink(bundle),
  );
  const opened = await openBundle(bundle);
  if (!made.ok || !opened.ok) throw new Error('the bundle was not made');
  const archive = join(folder, 'bundle.tar');
  await writeTar(archive, opened.value.parts.values());
  return {
    folder,
    program: join(folder, 'dist/openexec-verify.mjs'),
    page: join(folder, 'dist/verify.html'),
    bundle,
    archive,
    fingerprint: house.fingerprint,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
