/**
 * Merkle appends, signatures and the sparse map beside the bare platform calls. Prints operations per second, the ratio to the baseline and
 * a result hash; must never judge (time is not tested). Baselines of TOOLCHAIN §5.2 and §5.3.
 */

import { createPublicKey, hash, verify } from 'node:crypto';
import { digestFromBytes, sha256 } from '@openexec/canon';
import { CompactRange, emptyMap, leafHash, mapRoot, mapSet, nodeHash, publicKeyOf, sign, verifySignature } from '@openexec/proof';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 200_000);
const LEAF = leafHash(Uint8Array.of(1));
const ENTRY = new Uint8Array(344).fill(7);
const JOINED = new Uint8Array(65);

/** Operations per second of a call, after warming it up. */
function rate(rounds: number, call: (round: number) => unknown): number {
  for (let i = 0; i < rounds / 10; i++) call(i);
  const start = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) call(i);
  return rounds / (Number(process.hrtime.bigint() - start) / 1e9);
}

/** One line: ours, the baseline, the ratio. */
function report(name: string, own: number, baselineName: string, bare: number): void {
  console.log(
    `${name.padEnd(20)} ${(own / 1e3).toFixed(1).padStart(7)} k/s   ${(own / bare).toFixed(2)} of ${baselineName} (${(bare / 1e3).toFixed(1)} k/s)`,
  );
}

const bareHash = rate(ROUNDS, () => hash('sha256', JOINED, 'hex'));
report(
  'nodeHash',
  rate(ROUNDS, () => nodeHash(LEAF, LEAF)),
  'crypto.hash to hex',
  bareHash,
);
const range = CompactRange.empty();
report(
  'CompactRange.append',
  rate(ROUNDS, () => range.append(LEAF)),
  'crypto.hash to hex',
  bareHash,
);

const seed = new Uint8Array(32).fill(3);
const publicKey = publicKeyOf(seed);
const signature = sign(seed, ENTRY);
const keyObject = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') }, format: 'jwk' });
const bareVerify = rate(ROUNDS / 20, () => verify(null, ENTRY, keyObject, signature));
report(
  'verifySignature',
  rate(ROUNDS / 20, () => verifySignature(publicKey, ENTRY, signature)),
  'crypto.verify',
  bareVerify,
);

const keys = Array.from({ length: 20_000 }, (_, i) => sha256(Uint8Array.of(i, i >> 8)));
let map = emptyMap<number>();
const set = rate(ROUNDS / 10, (round) => {
  map = mapSet(map, keys[round % keys.length] ?? LEAF, LEAF, round);
});
report('mapSet', set, 'crypto.hash to hex', bareHash);
const commit = rate(ROUNDS / 10, (round) => {
  map = mapSet(map, keys[round % keys.length] ?? LEAF, keys[(round + 1) % keys.length] ?? LEAF, round);
  mapRoot(map);
});
report('mapSet and mapRoot', commit, 'crypto.hash to hex', bareHash);
console.log(`result ${digestFromBytes(range.root())} ${digestFromBytes(mapRoot(map))}`);
