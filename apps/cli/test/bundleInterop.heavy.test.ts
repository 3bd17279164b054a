/**
 * Audit bundles under other people's tools: sha256sum, jq, Go's sumdb/note and sumdb/tlog, openssl, @sigstore/verify, the CloudEvents SDK, ajv. None
 * shares code with ours; each is shown to refuse a changed byte too. Run by `npm test -- --heavy`. PROTOCOL §11.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTsa, type Tsa } from '@openexec/anchors/testServer';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type CloudEvent, HTTP } from 'cloudevents';
import { patchSum } from './place.ts';
import { done, inOnePlace, place, provider } from './scene.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const GO_PATH = '/usr/share/gocode';
const TIME_MS = 300_000;
const has = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const goIsThere = has('go', 'version') && existsSync(join(GO_PATH, 'src/golang.org/x/mod/sumdb/tlog'));
const tools = {
  sha256sum: has('sha256sum', '--version'),
  jq: has('jq', '--version'),
  openssl: has('openssl', 'version'),
};

/** A bundle of the whole ledger with a consistency proof, one of a single run; neither is ever written to. */
let whole: string;
let run: string;

const at = (name: string): string => join(place.folder, name);
const text = (folder: string, path: string): string => readFileSync(join(folder, path), 'utf8');

inOnePlace(async () => {
  [whole, run] = [at('whole'), at('run')];
  await done('init', '--model', 'openai:gpt-test');
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { text: 'done' }, { text: 'done' });
  await done('run', 'Make sum add');
  const size = (await done('ledger', 'checkpoint')).split('\n')[1] ?? '';
  // A hundred and more later entries, so that tiles have more than one level.
  mkdirSync(at('share'));
  mkdirSync(join(place.folder, 'config', 'openexec'), { recursive: true });
  writeFileSync(
    join(place.folder, 'config', 'openexec', 'config.yaml'),
    `version: 1\nanchors:\n  to:\n    - {name: share, type: file, folder: ${at('share')}}\n`,
  );
  for (let times = 0; times < 12; times++) await done('ledger', 'anchor');
  const { runs } = JSON.parse(await done('runs', '--json')) as { runs: readonly { run: string }[] };
  await done('export', '--out', whole, '--since', size);
  await done('export', runs[0]?.run ?? '', '--out', run, '--since', size);
});

/** A copy of a bundle with one byte of a part turned. */
function changed(folder: string, path: string, find: string | number): string {
  const copy = at('changed');
  rmSync(copy, { recursive: true, force: true });
  cpSync(folder, copy, { recursive: true });
  const bytes = readFileSync(join(copy, path));
  const where = typeof find === 'number' ? find : bytes.indexOf(find);
  if (where < 0) throw new Error(`${path} has no ${find}`);
  bytes[where] = (bytes[where] ?? 0) ^ 1;
  writeFileSync(join(copy, path), bytes);
  return copy;
}
const linesOf = (folder: string): readonly string[] => text(folder, 'events.jsonl').trimEnd().split('\n');
const files = (folder: string, below: string): readonly string[] =>
  (existsSync(join(folder, below)) ? readdirSync(join(folder, below)) : []).map((name) => `${below}/${name}`);
const both = (): readonly string[] => [whole, run];

describe(`sha256sum and jq${tools.jq && tools.sha256sum ? '' : ' (not run: one of them is not here)'}`, () => {
  const there = tools.jq && tools.sha256sum ? test : test.skip;
  there(
    'sha256sum -c accepts the MANIFEST, which lists every part but itself and the statement, and refuses a changed part',
    () => {
      const sums = (cwd: string): number | null =>
        spawnSync('sha256sum', ['-c', 'MANIFEST', '--strict', '--quiet'], { cwd, stdio: 'ignore' }).status;
      for (const folder of both()) {
        expect(sums(folder)).toBe(0);
        const parts = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
        expect(text(folder, 'MANIFEST').trimEnd().split('\n')).toHaveLength(parts.length - 2);
        expect(sums(changed(folder, 'events.jsonl', 100))).toBe(1);
      }
    },
    TIME_MS,
  );

  // The chain of every trajectory, and every commitment, with nothing but jq, base64 and sha256sum.
  const BY_HAND = `
    set -euo pipefail
    declare -A last; count=0; payloads=0
    while IFS= read -r line; do
      leaf=$( (printf '\\0'; jq -rj .data.entry <<<"$line") | sha256sum | cut -c1-64)
      subject=$(jq -r .subject <<<"$line")
      prev=$(jq -r '.data.entry|fromjson|.prev // "none"' <<<"$line")
      case "\${MODE}" in whole) [ "$prev" = "\${last[$subject]:-none}" ] || { echo "prev of $count"; exit 1; };; esac
      last[$subject]="sha256:$leaf"
      if [ "$(jq -r '.data.payload|type' <<<"$line")" = string ]; then
        said=$(jq -r '.data.entry|fromjson|.commitment' <<<"$line")
        made=$( (jq -r .data.salt <<<"$line" | base64 -d; jq -rj .data.payload <<<"$line") | sha256sum | cut -c1-64)
        [ "$said" = "sha256:$made" ] || { echo "commitment of $count"; exit 1; }
        payloads=$((payloads+1))
      fi
      count=$((count+1))
    done < events.jsonl
    echo "$count $payloads"`;
  const byHand = (cwd: string) => spawnSync('bash', ['-c', BY_HAND], { cwd, encoding: 'utf8', env: { ...process.env, MODE: 'whole' } });
  there(
    'recompute the leaf and the commitment of every line, and refuse a changed entry, payload and salt',
    () => {
      const { status, stdout, stderr } = byHand(whole);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const [count, payloads] = stdout.trim().split(' ').map(Number);
      expect(count).toBe(linesOf(whole).length);
      expect(payloads).toBeGreaterThan(20);
      for (const [find, said] of [
        ['tenant', 'commitment of'],
        ['runtime\\",\\"at', 'prev of'],
      ] as const)
        expect(byHand(changed(whole, 'events.jsonl', find))).toMatchObject({ status: 1, stdout: expect.stringContaining(said) });
    },
    TIME_MS,
  );
});

describe("Go's sumdb/note and sumdb/tlog", () => {
  if (!goIsThere) {
    test.skip('not run: Go is not here; apt-get install golang-go golang-golang-x-mod-dev', () => {});
    return;
  }
  let program: string;
  const go = (...args: readonly string[]): { readonly status: number | null; readonly said: string } => {
    const ended = spawnSync(program, args, { encoding: 'utf8' });
    return { status: ended.status, said: ended.stdout + ended.stderr };
  };
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-go-'));
    program = join(folder, 'verify');
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: GO_PATH, GOFLAGS: '', GOPROXY: 'off', GOCACHE: join(folder, 'cache') };
    execFileSync('go', ['build', '-o', program, join(ROOT, 'test-fixtures/interop/verify.go')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  }, TIME_MS);
  afterAll(() => rmSync(dirname(program), { recursive: true, force: true }));

  test(
    'open the checkpoint of a bundle with its log.vkey, and no other',
    () => {
      for (const folder of both()) {
        const args = [join(folder, 'checkpoint'), join(folder, 'log.vkey')] as const;
        expect(go('checkpoint', ...args)).toMatchObject({ status: 0, said: expect.stringContaining('checkpoint of ') });
        expect(go('checkpoint', join(changed(folder, 'checkpoint', 30), 'checkpoint'), args[1]).status).toBe(1);
      }
    },
    TIME_MS,
  );

  test(
    'prove every record and every earlier tree from the tiles of a whole ledger, and refuse a changed tile',
    () => {
      const size = text(whole, 'checkpoint').split('\n')[1] ?? '';
      expect(go('tiles', whole)).toMatchObject({
        status: 0,
        said: expect.stringContaining(`${size} records and ${size} earlier trees proved`),
      });
      const tile = (text(whole, 'MANIFEST').match(/ {2}(tile\/0\/\S+)\n/) ?? [])[1] ?? '';
      expect(go('tiles', changed(whole, tile, 40)).status).toBe(1);
    },
    TIME_MS,
  );

  test(
    'find every event in its place in the signed tree by the tiles of the bundle alone, also of one run; not a changed one',
    () => {
      for (const folder of both()) {
        expect(go('events', folder)).toMatchObject({ status: 0, said: expect.stringContaining(`${linesOf(folder).length} events of `) });
        expect(go('events', changed(folder, 'events.jsonl', 'runtime\\",\\"at'))).toMatchObject({
          status: 1,
          said: expect.stringContaining('another record'),
        });
        const tile = (text(folder, 'MANIFEST').match(/ {2}(tile\/0\/\S+)\n/) ?? [])[1] ?? '';
        expect(go('events', changed(folder, tile, 40)).status).toBe(1);
      }
    },
    TIME_MS,
  );

  test(
    'accept each tlog-proof for the last entry of its trajectory and for no other, and each consistency proof from its own head',
    () => {
      for (const folder of both()) {
        const vkeys = join(folder, 'log.vkey');
        const events = linesOf(folder).map((line) => JSON.parse(line) as { subject: string; data: { entry: string } });
        const proofs = files(folder, 'proofs');
        expect(proofs.length).toBeGreaterThan(1);
        for (const proof of proofs) {
          const own = events.findLast(({ subject }) => `proofs/${subject.replaceAll('/', '.')}.tlog-proof` === proof);
          const strange = events.find((event) => event !== own);
          writeFileSync(at('entry'), own?.data.entry ?? '');
          writeFileSync(at('other'), strange?.data.entry ?? '');
          expect({ proof, ...go('proof', join(folder, proof), vkeys, at('entry')) }).toMatchObject({ proof, status: 0 });
          expect({ proof, status: go('proof', join(folder, proof), vkeys, at('other')).status }).toEqual({ proof, status: 1 });
        }
        const [request] = files(folder, 'consistency').filter((path) => !path.endsWith('.checkpoint'));
        const old = join(folder, `${request ?? ''}.checkpoint`);
        expect(go('consistency', join(folder, request ?? ''), vkeys, old)).toMatchObject({ status: 0 });
        expect(go('consistency', join(folder, request ?? ''), vkeys, join(folder, 'checkpoint')).status).toBe(1);
        const copy = changed(folder, request ?? '', text(folder, request ?? '').indexOf('\n') + 3);
        expect(go('consistency', join(copy, request ?? ''), vkeys, old).status).toBe(1);
      }
    },
    TIME_MS,
  );
});

/** The key of the log out of its C2SP verifier key, as everybody else writes one. */
function pemOf(folder: string): string {
  const raw = Buffer.from(text(folder, 'log.vkey').trim().split('+').slice(2).join('+'), 'base64').subarray(1);
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
}
interface Envelope {
  verificationMaterial: { publicKey: { hint: string } };
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string; keyid: string }[] };
}
const envelopeOf = (folder: string): Envelope => JSON.parse(text(folder, 'export.sigstore.json')) as Envelope;

describe('the statement', () => {
  (tools.openssl ? test : test.skip)(
    'is signed by the log key over its DSSE encoding, as openssl pkeyutl finds, and over nothing else',
    () => {
      for (const folder of both()) {
        const { payload, payloadType, signatures } = envelopeOf(folder).dsseEnvelope;
        const body = Buffer.from(payload, 'base64');
        const pae = Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${body.length} `), body]);
        writeFileSync(at('key.pem'), pemOf(folder));
        writeFileSync(at('signature'), Buffer.from(signatures[0]?.sig ?? '', 'base64'));
        const verify = (bytes: Uint8Array): number | null => {
          writeFileSync(at('pae'), bytes);
          const args = ['pkeyutl', '-verify', '-pubin', '-inkey', at('key.pem'), '-rawin', '-in', at('pae'), '-sigfile', at('signature')];
          return spawnSync('openssl', args, { stdio: 'ignore' }).status;
        };
        expect(verify(pae)).toBe(0);
        for (const where of [8, pae.length - 20])
          expect(verify(Buffer.from(pae.map((byte, each) => (each === where ? byte ^ 1 : byte))))).not.toBe(0);
        expect(verify(body)).not.toBe(0);
      }
    },
    TIME_MS,
  );

  test(
    'is verified by @sigstore/verify with the log key as a managed key, and is refused changed, under another key, or with none',
    () => {
      // A managed key has no certificate, and this log no entry in somebody's Rekor: none is asked for.
      const none = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 };
      const roots = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [], mediaType: '' };
      const verify = (json: unknown, pem: string, hint: string): void => {
        const keys = (asked: string) => {
          if (asked !== hint) throw new Error(`no key ${asked}`);
          return { publicKey: createPublicKey(pem), validFor: () => true };
        };
        new Verifier(toTrustMaterial(roots, keys), none).verify(toSignedEntity(bundleFromJSON(json)));
      };
      const strange =
        '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n';
      for (const folder of both()) {
        const json = envelopeOf(folder);
        const { hint } = json.verificationMaterial.publicKey;
        expect(() => verify(json, pemOf(folder), hint)).not.toThrow();
        expect(() => verify(json, strange, hint)).toThrow(/signature verification failed/);
        expect(() => verify(json, pemOf(folder), 'another')).toThrow(/no key/);
        const payload = Buffer.from(json.dsseEnvelope.payload, 'base64');
        payload[40] = (payload[40] ?? 0) ^ 1;
        const other = { ...json, dsseEnvelope: { ...json.dsseEnvelope, payload: payload.toString('base64') } };
        expect(() => verify(other, pemOf(folder), hint)).toThrow(/signature verification failed/);
      }
    },
    TIME_MS,
  );
});

describe('the times of an authority', () => {
  (tools.openssl ? test : test.skip)(
    'hold for openssl ts over the checkpoint and for @sigstore/verify over the statement, and not over other bytes or by another authority',
    async () => {
      const [tsa, other] = [await startTsa(), await startTsa()];
      try {
        writeFileSync(
          join(place.folder, 'config', 'openexec', 'config.yaml'),
          `version: 1\nanchors:\n  to:\n    - {name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${tsa.caFile}}\n`,
        );
        const timed = at('timed');
        await done('export', 'latest', '--out', timed, '--timestamp');
        const openssl = (cwd: string, ca: string): number | null => {
          const args = ['ts', '-verify', '-data', 'checkpoint', '-in', 'checkpoint.tsr', '-CAfile', ca];
          return spawnSync('openssl', args, { cwd, stdio: 'ignore' }).status;
        };
        expect(openssl(timed, tsa.caFile)).toBe(0);
        expect(openssl(timed, other.caFile)).not.toBe(0);
        expect(openssl(changed(timed, 'checkpoint', 30), tsa.caFile)).not.toBe(0);
        // Here one time is asked for; the log's key is a managed one, as above.
        const wanted = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 1 };
        const verify = (json: Envelope, authority: Tsa): void => {
          const certificates = ['tsa.pem', 'ca.pem'].map((name) => ({
            rawBytes: new X509Certificate(readFileSync(join(authority.folder, name))).raw,
          }));
          const subject = { organization: 'test', commonName: 'Test TSA' };
          const trusted = { subject, uri: '', operator: '', certChain: { certificates }, validFor: { start: new Date(0), end: undefined } };
          const roots = { certificateAuthorities: [], timestampAuthorities: [trusted], tlogs: [], ctlogs: [], mediaType: '' };
          const keys = () => ({ publicKey: createPublicKey(pemOf(timed)), validFor: () => true });
          new Verifier(toTrustMaterial(roots, keys), wanted).verify(toSignedEntity(bundleFromJSON(json)));
        };
        const json = envelopeOf(timed);
        expect(() => verify(json, tsa)).not.toThrow();
        expect(() => verify(json, other)).toThrow(/timestamp|certificate/i);
        const signedTimestamp = readFileSync(join(timed, 'checkpoint.tsr')).toString('base64');
        const material = { ...json.verificationMaterial, timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp }] } };
        expect(() => verify({ ...json, verificationMaterial: material }, tsa)).toThrow(/timestamp/i);
        // Without its time the same statement is signed, and no more.
        expect(() => verify(envelopeOf(run), tsa)).toThrow(/timestamp/i);
      } finally {
        await tsa.close();
        await other.close();
      }
    },
    TIME_MS,
  );
});

describe('events.jsonl', () => {
  test(
    'is CloudEvents 1.0 to their SDK, strictly, line for line; a line that is none is refused',
    () => {
      const parsed = (line: string) => {
        const event = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' }, body: line });
        const one = (Array.isArray(event) ? event[0] : event) as CloudEvent<unknown>;
        one.validate();
        return one;
      };
      for (const folder of both())
        for (const line of linesOf(folder)) {
          const own = JSON.parse(line) as { id: string; subject: string; data: object };
          const { id, subject, specversion, data } = parsed(line);
          expect({ id, subject, specversion, data }).toEqual({ id: own.id, subject: own.subject, specversion: '1.0', data: own.data });
        }
      const [line = ''] = linesOf(run);
      for (const [from, to] of [
        ['"source":', '"sourcf":'],
        ['"type":', '"typf":'],
        ['"sequence":', '"Sequence-":'],
      ] as const) {
        expect(line).toContain(from);
        expect({ from, refused: refuses(() => parsed(line.replace(from, to))) }).toEqual({ from, refused: true });
      }
    },
    TIME_MS,
  );

  test(
    'has payloads that ajv holds to the published schemas, each of its kind; a payload with a member less is refused',
    () => {
      const ajv = new Ajv2020({ strict: false });
      let refused = 0;
      const kinds = new Set<string>();
      for (const line of linesOf(whole)) {
        const { type, data } = JSON.parse(line) as { type: string; data: { payload: string | null } };
        const kind = type.slice('dev.openexec.'.length);
        const id = `events/${kind}.schema.json`;
        const validate = ajv.getSchema(id) ?? ajv.compile(JSON.parse(readFileSync(join(ROOT, 'schemas', id), 'utf8')) as object);
        if (data.payload === null) continue;
        const body = JSON.parse(data.payload) as { [name: string]: unknown };
        expect({ kind, holds: validate(body), errors: validate.errors }).toEqual({ kind, holds: true, errors: null });
        kinds.add(kind);
        const [name = ''] = Object.keys(body);
        const { [name]: _, ...less } = body;
        if (validate(less) === false) refused += 1;
        expect({ kind, extra: validate({ ...body, memberOfNobody: 1 }) }).toEqual({ kind, extra: false });
      }
      expect(kinds.size).toBeGreaterThan(12);
      expect(refused).toBeGreaterThan(linesOf(whole).length / 2);
    },
    TIME_MS,
  );
});

function refuses(parse: () => unknown): boolean {
  try {
    parse();
    return false;
  } catch {
    return true;
  }
}
