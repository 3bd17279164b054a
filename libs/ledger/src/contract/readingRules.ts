/**
 * Contract: reading forward, following, heads, checkpoints, proofs, closing the handle. PROTOCOL §3; GOALS E11, E17.
 */
import type { TrajectoryId } from '@openexec/canon';
import { formatVkey, openCheckpoint, publicKeyOf, verifyConsistency, verifyInclusion, treeRoot, leafHash } from '@openexec/proof';
import type { Stored } from '../types.ts';
import { batchTo, fact, LAW, ORIGIN, runNamed, SEEDS } from './fixture.ts';
import { collect, type ContractSubject, onLedger, placesOf, type TestGlobals } from './harness.ts';

const cancel = (because: string) => fact('run.cancelRequested', { because });
const LOG_VKEY = formatVkey({ keyName: ORIGIN, publicKey: publicKeyOf(SEEDS.log) });

/** Declares how a ledger is read, followed and proved, and what a closed handle answers. */
export function readingRules(globals: TestGlobals, subject: ContractSubject): void {
  forwardRules(globals, subject);
  followRules(globals, subject);
  checkpointRules(globals, subject);
  proofRules(globals, subject);
  handleRules(globals, subject);
}

/** Reading forward. */
function forwardRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('reading', () => {
    test(
      'a trajectory and the whole ledger are read forward from any position, in pages of whatever size',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.fill(run, 600, 200);
        const all = await collect(bench.store.all());
        expect(all.map(({ index }) => index)).toEqual(Array.from({ length: 603 }, (_, i) => BigInt(i)));
        expect(placesOf(await collect(bench.store.all(599n, 602n)))).toEqual(placesOf(all.slice(599, 602)));
        expect(placesOf(await collect(bench.store.read(run, 597)))).toEqual(placesOf(all.slice(599)));
        expect(placesOf(await collect(bench.store.read(run, 10, 300)))).toEqual(placesOf(all.slice(12, 302)));
        expect(placesOf(await collect(bench.store.read(LAW)))).toEqual(['0:law:0', '1:law:1']);
        expect(await collect(bench.store.read(runNamed('none')))).toEqual([]);
        const rows = (await collect(bench.store.rows(1n))).flat();
        expect(rows).toEqual(all.slice(1).map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt })));
      }),
    );
    test(
      'what append answers is what is read back',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const { stored } = await bench.took(batchTo(run, 0, [cancel('é ☃ 𝄞')]));
        expect(await collect(bench.store.read(run, 1))).toEqual([...stored]);
      }),
    );
    test(
      'heads say where each trajectory stands',
      onLedger(subject, async (bench) => {
        await bench.found();
        const names = ['a', 'b', 'c'].map(runNamed).sort();
        for (const name of ['c', 'a', 'b']) await bench.run(name);
        const heads = await collect(bench.store.trajectories('run/'));
        expect(heads.map(({ trajectory }) => trajectory)).toEqual(names);
        expect((await collect(bench.store.trajectories())).map(({ trajectory }) => trajectory)).toEqual(['law', ...names]);
        expect(await bench.store.trajectory(LAW)).toMatchObject({ trajectory: 'law', seq: 1, closed: false });
        expect(await bench.store.trajectory('run/none' as TrajectoryId)).toBe(null);
        const head = await bench.store.head();
        const leaves = (await collect(bench.store.all())).map(({ entryBytes }) => leafHash(entryBytes));
        expect(head).toEqual({ size: 5n, root: treeRoot(leaves), fingerprint: bench.fingerprint, origin: ORIGIN });
      }),
    );
  });
}

/** Following the head. */
function followRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('following', () => {
    test(
      'gives what is there and then what comes, none skipped and none twice, while many append',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.fill(run, 300, 300);
        const seen: Stored[] = [];
        const following = (async () => {
          for await (const stored of bench.store.follow(1n)) {
            seen.push(stored);
            if (stored.index === 502n) break;
          }
        })();
        for (let round = 0; round < 20; round++)
          await Promise.all(Array.from({ length: 10 }, (_, i) => bench.store.append(batchTo(run, 'any', [cancel(`${round}-${i}`)]))));
        await following;
        expect(seen.map(({ index }) => index)).toEqual(Array.from({ length: 502 }, (_, i) => BigInt(i + 1)));
        expect(seen).toEqual(await collect(bench.store.all(1n)));
      }),
    );
    test(
      'a reader that stops while it waits is released at once',
      onLedger(subject, async (bench) => {
        await bench.found();
        const reading = bench.store.follow(2n);
        const waiting = reading.next();
        await reading.return();
        expect((await waiting).done).toBe(true);
        expect((await reading.next()).done).toBe(true);
      }),
    );
    test(
      'two questions at once are answered in order',
      onLedger(subject, async (bench) => {
        await bench.found();
        const reading = bench.store.follow();
        const answers = await Promise.all([reading.next(), reading.next()]);
        expect(answers.map(({ value }) => value?.index)).toEqual([0n, 1n]);
        await reading.return();
      }),
    );
    test(
      'ends when the store is closed',
      onLedger(subject, async (bench) => {
        await bench.found();
        const waiting = bench.store.follow(2n).next();
        await bench.store.close();
        expect((await waiting).done).toBe(true);
      }),
    );
  });
}

/** Checkpoints are signed and kept. */
function checkpointRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('checkpoints', () => {
    test(
      'a checkpoint is signed by the log key, kept, and the same for the same size',
      onLedger(subject, async (bench) => {
        expect(await bench.store.checkpoint()).toMatchObject({ ok: false, error: { code: 'ledger.unfounded' } });
        await bench.found();
        const made = await bench.store.checkpoint();
        if (!made.ok) throw new Error(made.error.message);
        const head = await bench.store.head();
        expect(openCheckpoint(made.value.note, [LOG_VKEY])).toMatchObject({
          ok: true,
          value: { origin: ORIGIN, size: 2n, root: head.root },
        });
        expect(await bench.store.checkpoint()).toEqual(made);
        await bench.run('a');
        const second = await bench.store.checkpoint();
        expect(await collect(bench.store.checkpoints())).toEqual([made.value, ...(second.ok ? [second.value] : [])]);
        await bench.run('b');
      }),
    );
    test(
      'without the log key there is no checkpoint',
      onLedger(
        subject,
        async (bench) => {
          await bench.found();
          expect(await bench.store.checkpoint()).toMatchObject({ ok: false, error: { code: 'checkpoint.noSigner' } });
        },
        'none',
      ),
    );
  });
}

/** Proofs of inclusion and consistency hold. */
function proofRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('proving', () => {
    test(
      'every leaf is proved in, and every size continued by, later sizes',
      onLedger(subject, async (bench) => {
        await bench.found();
        await bench.fill(await bench.run('a'), 640, 213);
        const leaves = (await collect(bench.store.all())).map(({ entryBytes }) => leafHash(entryBytes));
        const sizes = [1, 2, 3, 255, 256, 257, 511, 512, 513, 600, leaves.length];
        for (const size of sizes) {
          const root = treeRoot(leaves.slice(0, size));
          for (const index of [0, 1, 127, 255, 256, 300, 511, 512, size - 1].filter((at) => at < size)) {
            const proof = await bench.store.inclusion(BigInt(index), BigInt(size));
            const leaf = leaves[index];
            if (!proof.ok || leaf === undefined) throw new Error('no proof');
            expect(verifyInclusion({ leaf, index: BigInt(index), size: BigInt(size), root, proof: proof.value }).ok).toBe(true);
          }
          for (const old of sizes.filter((other) => other <= size)) {
            const proof = await bench.store.consistency(BigInt(old), BigInt(size));
            if (!proof.ok) throw new Error('no proof');
            const claim = {
              oldSize: BigInt(old),
              oldRoot: treeRoot(leaves.slice(0, old)),
              newSize: BigInt(size),
              newRoot: root,
              proof: proof.value,
            };
            expect(verifyConsistency(claim).ok).toBe(true);
          }
        }
        const past = BigInt(leaves.length + 1);
        expect(await bench.store.inclusion(0n, past)).toMatchObject({ ok: false, error: { code: 'proof.outOfRange' } });
        expect(await bench.store.consistency(5n, past)).toMatchObject({ ok: false, error: { code: 'proof.outOfRange' } });
      }),
    );
  });
}

/** A closed handle answers nothing. */
function handleRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('a closed handle', () => {
    test(
      'answers every later call with store.closed',
      onLedger(subject, async (bench) => {
        await bench.found();
        await bench.store.close();
        await bench.store.close();
        expect(await bench.store.append(batchTo(LAW, 1, [cancel('x')]))).toMatchObject({ ok: false, error: { code: 'store.closed' } });
        expect(await bench.store.blob(bench.fingerprint)).toMatchObject({ ok: false, error: { code: 'store.closed' } });
        expect(await bench.store.checkpoint()).toMatchObject({ ok: false, error: { code: 'store.closed' } });
        expect(await bench.store.inclusion(0n, 1n)).toMatchObject({ ok: false, error: { code: 'store.closed' } });
        const codes = [
          () => bench.store.head(),
          () => collect(bench.store.all()),
          () => collect(bench.store.read(LAW)),
          () => collect(bench.store.checkpoints()),
        ];
        for (const call of codes)
          expect(
            await call().then(
              () => 'answered',
              (error: { code: string }) => error.code,
            ),
          ).toBe('store.closed');
      }),
    );
  });
}
