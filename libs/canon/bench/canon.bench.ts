/**
 * Canonical writing, strict reading and hashing beside the bare platform calls. Prints operations per second, the ratio to the baseline and
 * a result hash; must never judge (time is not tested). Baselines of TOOLCHAIN §5.2 and §5.4.
 */

import { hash } from 'node:crypto';
import { canonicalBytes, canonicalText, digestOf, type Json, parseCanonical, parseJson, sha256, sha256Hex } from '@openexec/canon';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 200_000);

/** The shape and size of a typical entry. */
const ENTRY: Json = {
  v: 1,
  trajectory: `run/${'0123456789abcdef'.repeat(2)}`,
  seq: 12,
  prev: `sha256:${'ab'.repeat(32)}`,
  kind: 'execution.started',
  at: '2026-01-02T03:04:05.678Z',
  actor: 'runtime',
  cause: 11,
  law: 4,
  commitment: `sha256:${'cd'.repeat(32)}`,
  bytes: 812,
};
const TEXT = canonicalText(ENTRY);
const BYTES = canonicalBytes(ENTRY);

/** Operations per second of a call, after warming it up. */
function rate(call: () => unknown): number {
  for (let i = 0; i < ROUNDS / 10; i++) call();
  const start = process.hrtime.bigint();
  for (let i = 0; i < ROUNDS; i++) call();
  return ROUNDS / (Number(process.hrtime.bigint() - start) / 1e9);
}

/** One line: ours, the baseline, the ratio. */
function compare(name: string, ours: () => unknown, baselineName: string, baseline: () => unknown): void {
  const [own, bare] = [rate(ours), rate(baseline)];
  console.log(
    `${name.padEnd(16)} ${(own / 1e3).toFixed(0).padStart(6)} k/s   ${(own / bare).toFixed(2)} of ${baselineName} (${(bare / 1e3).toFixed(0)} k/s)`,
  );
}

console.log(`${BYTES.length} bytes, result ${digestOf(TEXT)}`);
compare(
  'canonicalText',
  () => canonicalText(ENTRY),
  'JSON.stringify',
  () => JSON.stringify(ENTRY),
);
compare(
  'parseJson',
  () => parseJson(TEXT),
  'JSON.parse',
  () => JSON.parse(TEXT),
);
compare(
  'parseCanonical',
  () => parseCanonical(BYTES),
  'JSON.parse',
  () => JSON.parse(TEXT),
);
compare(
  'sha256Hex',
  () => sha256Hex(BYTES),
  'crypto.hash to hex',
  () => hash('sha256', BYTES, 'hex'),
);
compare(
  'sha256',
  () => sha256(BYTES),
  'crypto.hash to Buffer',
  () => hash('sha256', BYTES, 'buffer'),
);
