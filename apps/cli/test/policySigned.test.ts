/**
 * Signed bundles: made offline by a policy key, adopted by whoever may append, once, for one ledger; every decision says which bundle spoke by whose
 * word. Through the bundle; each ledger verified by the production verifier.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, patchSum, type Place, type Provider, startProvider } from './place.ts';

const TIME_MS = 180_000;
let bundle: Bundle;
let provider: Provider;
const places: Place[] = [];

beforeAll(async () => {
  bundle = await buildBundle();
  provider = await startProvider();
}, TIME_MS);
afterAll(async () => {
  await provider.close();
  for (const place of places) place.remove();
  bundle.remove();
});

const POLICY = {
  version: 1,
  name: 'ours',
  rules: [
    {
      id: 'permit-all',
      when: { field: 'action.name', op: 'exists', value: true },
      decide: 'permit',
      because: 'what the shipped policy lets through',
      examples: { match: [{ action: { name: 'read_file' } }], noMatch: [{}] },
    },
    {
      id: 'deny-docs',
      when: { field: 'paths.write', op: 'anyUnder', value: 'docs' },
      decide: 'deny',
      because: 'documents are written by people',
      examples: { match: [{ paths: { write: ['docs/a.md'] } }], noMatch: [{ paths: { write: ['src/a.ts'] } }] },
    },
  ],
};
interface Signed {
  v: number;
  adoption: { body: Record<string, unknown>; signatures: { key: string; value: string }[] };
  bundle: typeof POLICY;
}

function at(place: Place) {
  const openexec = (...args: readonly string[]): Promise<Ended> =>
    bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
  const fine = async (...args: readonly string[]): Promise<Ended> => {
    const ended = await openexec(...args);
    expect({ args, exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ args, exit: 0, stderr: '' });
    return ended;
  };
  const refused = async (...args: readonly string[]) => {
    const ended = await openexec(...args, '--json');
    const { error } = JSON.parse(ended.stdout) as { error: { code: string; message: string; remedy: string } };
    expect(error.remedy).not.toBe('');
    return { exit: ended.exit, code: error.code };
  };
  return { openexec, fine, refused };
}

function newPlace(): Place {
  const place = makePlace();
  places.push(place);
  return place;
}

describe('a signed bundle', () => {
  test(
    'is signed by a policy key, adopted once without a key, and every decision says by whose word it was taken',
    async () => {
      const place = newPlace();
      const { fine, refused } = at(place);
      await fine('init', '--model', 'openai:gpt-test');
      const key = JSON.parse((await fine('key', 'new', '--role', 'policy', '--label', 'policy', '--no-passphrase', '--json')).stdout) as {
        keyId: string;
      };
      place.write('ours.json', JSON.stringify(POLICY));
      const signedBy = JSON.parse(
        (await fine('policy', 'sign', 'ours.json', '--key', 'policy', '--out', 'ours.signed.json', '--json')).stdout,
      ) as { signers: string[]; digest: string; ledger: string };
      expect(signedBy).toMatchObject({ signers: [key.keyId], layer: 'operator', name: 'ours' });
      expect(await refused('policy', 'sign', 'ours.json', '--out', 'ours.signed.json')).toEqual({ exit: 2, code: 'file.exists' });
      const shown = JSON.parse((await fine('policy', 'show', 'ours.signed.json', '--json')).stdout) as object;
      expect(shown).toMatchObject({ layer: 'operator', signed: { ledger: signedBy.ledger, counts: true, because: null } });
      // Every way in which the file is not that word.
      const file = join(place.root, 'ours.signed.json');
      const sound = readFileSync(file, 'utf8');
      const changed = (name: string, change: (signed: Signed) => void): string => {
        const signed = JSON.parse(sound) as Signed;
        change(signed);
        place.write(name, JSON.stringify(signed));
        return name;
      };
      const softer = changed('softer.json', ({ bundle: inner }) => void inner.rules.pop());
      const otherLayer = changed('layer.json', ({ adoption }) => void (adoption.body['layer'] = 'organisation'));
      const extra = changed('extra.json', (signed) => void ((signed as unknown as Record<string, unknown>)['more'] = 1));
      const nobody = changed('nobody.json', ({ adoption }) => void (adoption.signatures = []));
      expect(await refused('policy', 'adopt', softer)).toEqual({ exit: 20, code: 'policy.tampered' });
      expect(await refused('policy', 'adopt', otherLayer)).toEqual({ exit: 20, code: 'policy.tampered' });
      expect(await refused('policy', 'adopt', extra)).toEqual({ exit: 2, code: 'policy.invalid' });
      expect(await refused('policy', 'adopt', nobody)).toEqual({ exit: 2, code: 'policy.invalid' });
      expect(await refused('policy', 'adopt', 'ours.signed.json', '--key', 'root')).toEqual({ exit: 2, code: 'usage.invalid' });
      // A key of this machine that never got the role.
      await fine('policy', 'sign', 'ours.json', '--key', 'operator', '--out', 'stranger.json');
      expect(await refused('policy', 'adopt', 'stranger.json')).toEqual({ exit: 2, code: 'policy.untrusted' });
      const stranger = JSON.parse((await fine('policy', 'show', 'stranger.json', '--json')).stdout) as object;
      expect(stranger).toMatchObject({ signed: { counts: false, because: { code: 'policy.untrusted' } } });
      // Another ledger.
      const other = newPlace();
      await at(other).fine('init', '--model', 'openai:gpt-test');
      other.write('ours.signed.json', sound);
      expect(await at(other).refused('policy', 'adopt', 'ours.signed.json')).toEqual({ exit: 2, code: 'policy.otherLedger' });
      const adopted = JSON.parse((await fine('policy', 'adopt', 'ours.signed.json', '--json')).stdout) as { law: number };
      expect(await refused('policy', 'adopt', 'ours.signed.json')).toEqual({ exit: 2, code: 'policy.replayed' });
      const listed = JSON.parse((await fine('policy', 'list', '--json')).stdout) as { layers: readonly object[] };
      expect(listed.layers[0]).toMatchObject({ layer: 'operator', name: 'ours', signers: [key.keyId], digest: signedBy.digest });
      expect((await fine('policy', 'show', 'operator')).stdout).toContain(`signed by ${key.keyId}`);

      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      await fine('run', 'Make sum add', '--json');
      const { decisions } = JSON.parse((await fine('policy', 'explain', 'latest', '--json')).stdout) as {
        decisions: readonly { trace: { layers: readonly { layer: string; bundle: object }[] } }[];
      };
      expect(decisions.length).toBeGreaterThan(2);
      for (const { trace } of decisions)
        expect(trace.layers.find(({ layer }) => layer === 'operator')?.bundle).toEqual({
          name: 'ours',
          version: 1,
          digest: signedBy.digest,
          source: `law/${adopted.law}`,
          signers: [key.keyId],
        });
      // A retired key signs nothing any more; what it signed stays.
      await fine('policy', 'sign', 'ours.json', '--key', 'policy', '--out', 'late.json');
      await fine('key', 'retire', 'policy', '--because', 'left the house');
      expect(await refused('policy', 'adopt', 'late.json')).toEqual({ exit: 2, code: 'policy.untrusted' });
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});
