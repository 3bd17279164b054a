/**
 * What redaction costs and how often it errs, over the sources of a fixed list of packages: our own rules with eight known values (whole and as a
 * stream), the second opinion, both; megabytes a second, the ratio to SHA-256 over the same bytes, and false finds a megabyte. Goals: own rules 50 MB/s,
 * at most 0.5 false finds a megabyte (SECURITY §10). Prints; must never judge. BENCH_ROUNDS sets the rounds.
 */
import { createHash } from 'node:crypto';
import { createRedactor, loadSecondOpinion } from '@openexec/workspace';
import { packageSources } from '../test/packageSources.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const BODY = 'q7XkP2mZ9tR4vB8nL3wY6cF1hJ5dS0gA';
const secrets = Array.from({ length: 8 }, (_, index) => ({ kind: 'env', value: BODY.slice(index) + BODY.slice(0, index) }));
const tagKey = new Uint8Array(32);
const files = packageSources();
const megabytes = files.reduce((sum, file) => sum + file.content.length, 0) / 1e6;

const loading = performance.now();
const second = await loadSecondOpinion();
const loadMs = performance.now() - loading;
const own = createRedactor({ secrets, tagKey });
const both = createRedactor({ secrets, tagKey, second });
const address = createRedactor({ secrets: [...secrets, { kind: 'env', value: `postgres://u:${BODY}@host/name` }], tagKey });
let finds = 0;

const cases: Readonly<Record<string, () => void>> = {
  'SHA-256, for comparison': () => files.forEach((file) => createHash('sha256').update(file.content).digest()),
  'own rules, files': () => files.forEach((file) => own.findSecrets(file.content)),
  'own rules, output': () => files.forEach((file) => own.redactBytes(file.content)),
  'own rules, stream': () => {
    const stream = own.stream();
    files.forEach((file) => stream.push(file.content));
    stream.end();
  },
  'own rules, an address known': () => files.forEach((file) => address.findSecrets(file.content)),
  'secretlint alone': () => files.forEach((file) => second(file.content.toString('latin1'))),
  'both, files': () => {
    finds = files.reduce((sum, file) => sum + both.findSecrets(file.content).length, 0);
  },
};
const best = new Map<string, number>();
for (let round = 0; round < ROUNDS; round += 1)
  for (const [name, work] of Object.entries(cases)) {
    const started = performance.now();
    work();
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, performance.now() - started));
  }
const reference = best.get('SHA-256, for comparison') ?? 1;
for (const [name, took] of best)
  process.stdout.write(
    `${name.padEnd(28)} ${(megabytes / (took / 1000)).toFixed(0).padStart(5)} MB/s  ratio to SHA-256 ${(took / reference).toFixed(1)}\n`,
  );
process.stdout.write(
  `false finds                  ${(finds / megabytes).toFixed(3)} a megabyte (${finds} in ${megabytes.toFixed(1)} MB, ${files.length} files)\n`,
);
process.stdout.write(`loading secretlint           ${loadMs.toFixed(0)} ms\n`);
