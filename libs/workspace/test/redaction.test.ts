/**
 * Redaction: no secret of twelve kinds survives any split, encodings of known values are found, ordinary text is left alone (SECURITY §5, A83–A85).
 */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createRedactor } from '../src/index.ts';
import type { Redactor } from '../src/index.ts';
import { redactor, SECRET } from './harness.ts';

const alphabet = 'q7XkP2mZ9tR4vB8nL3wY6cF1hJ5dS0gA';
const body = (length: number): string => Array.from({ length }, (_, index) => alphabet[(index * 11 + 5) % alphabet.length]).join('');
const upper = (length: number): string =>
  body(length * 3)
    .replace(/[^A-Z0-9]/g, '')
    .slice(0, length);
/** Made here, never issued by anybody. Joined from halves so that scanners of this source stay quiet. */
const PEM = `-----BEGIN RSA ${'PRIVATE'} KEY-----\n${Array.from({ length: 12 }, (_, line) => body(64 + line).slice(line)).join('\n')}\n-----END RSA ${'PRIVATE'} KEY-----`;
const KINDS: Readonly<Record<string, string>> = {
  aws: `AK${'IA'}${upper(16)}`,
  github: `gh${'p_'}${body(36)}`,
  anthropic: `sk-${'ant'}-api03-${body(60)}`,
  openai: `sk-${'proj'}-${body(48)}`,
  slack: `xox${'b-'}${body(40)}`,
  stripe: `sk_${'live'}_${body(24)}`,
  google: `AI${'za'}${body(35)}`,
  jwt: `ey${'J'}${body(30)}.ey${'J'}${body(200)}.${body(43)}`,
  npm: `npm${'_'}${body(36)}`,
  gitlab: `gl${'pat'}-${body(20)}`,
  sendgrid: `S${'G.'}${body(22)}.${body(43)}`,
  pypi: `pypi${'-'}AgEIcHlwaS5vcmc${body(80)}`,
  pem: PEM,
};

function streamed(source: Buffer, cuts: readonly number[], by: Redactor = redactor): string {
  const stream = by.stream();
  const out: Uint8Array[] = [];
  let from = 0;
  for (const cut of [...cuts, source.length]) {
    out.push(stream.push(source.subarray(from, cut)));
    from = cut;
  }
  out.push(stream.end());
  return Buffer.concat(out).toString('latin1');
}
/** Longest run of the secret that is still readable. */
function longestLeak(text: string, secret: string, length = 12): string | null {
  for (let at = 0; at + length <= secret.length; at += 1)
    if (text.includes(secret.slice(at, at + length))) return secret.slice(at, at + length);
  return null;
}
const chunks = (length: number, size: number): readonly number[] =>
  Array.from({ length: Math.floor(length / size) }, (_, index) => (index + 1) * size);

describe('A83: secrets of every kind, split anywhere', () => {
  test.each(Object.entries(KINDS))('%s split at every byte, near the edge of what is handed out', (kind, secret) => {
    // The filler puts the secret across the place where the first batch is cut.
    const before = `${'filler words here. '.repeat(600).slice(0, 8192 - 2048 - Math.floor(secret.length / 2))} `;
    const source = Buffer.from(`${before}${secret} ${'after. '.repeat(900)}`);
    for (let at = 0; at <= secret.length; at += 1) {
      const out = streamed(source, [before.length + at]);
      expect([at, longestLeak(out, secret)]).toEqual([at, null]);
      expect(out).toContain(`[redacted:${kind}:`);
      expect(out.startsWith(before)).toBe(true);
    }
  });
  test.each([1, 64, 1000, 4096, 65_536])(
    'all kinds together in chunks of %d bytes: nothing leaks and the stream equals the whole',
    (size) => {
      const source = Buffer.from(
        Array.from({ length: 40 }, (_, round) =>
          Object.values(KINDS)
            .map((secret, index) => `${'x y '.repeat((round * 37 + index * 11) % 300)}\n${secret}\n`)
            .join(''),
        ).join(''),
      );
      const out = streamed(source, chunks(source.length, size));
      for (const secret of Object.values(KINDS)) expect(longestLeak(out, secret)).toBeNull();
      expect(out).toBe(Buffer.from(redactor.redactBytes(source)).toString('latin1'));
    },
  );
  test('the same secret has the same tag, another installation another', () => {
    const other = createRedactor({ secrets: [], tagKey: new Uint8Array(32).fill(8) });
    const token = KINDS['npm'] ?? '';
    expect(redactor.redactText(`a ${token} b ${token}`)).toMatch(/^a (\[redacted:npm:[0-9a-f]{8}\]) b \1$/);
    expect(other.redactText(token)).not.toBe(redactor.redactText(token));
  });
});

describe('A84: private keys', () => {
  test('in chunks of 64 bytes no line is kept', () => {
    const source = Buffer.from(`start\n${PEM}\nend. `.repeat(30));
    // The control: redacted chunk by chunk, lines of it stay.
    const naive = Array.from({ length: Math.ceil(source.length / 64) }, (_, index) =>
      Buffer.from(redactor.redactBytes(source.subarray(index * 64, index * 64 + 64))).toString('latin1'),
    ).join('');
    expect(
      PEM.split('\n')
        .slice(1, -1)
        .some((line) => naive.includes(line.slice(0, 20))),
    ).toBe(true);
    const out = streamed(source, chunks(source.length, 64));
    for (const line of PEM.split('\n').slice(1, -1)) expect(out).not.toContain(line.slice(0, 20));
    expect(out.match(/start\n\[redacted:pem:[0-9a-f]{8}\]\nend\. /g)).toHaveLength(30);
  });
  test('one that never ends, longer than anything is held, is swallowed to its last line', () => {
    const lines = Array.from({ length: 4000 }, (_, index) => body(60 + (index % 5)));
    const source = Buffer.from(`a. -----BEGIN ${'PRIVATE'} KEY-----\n${lines.join('\n')}\n-----END ${'PRIVATE'} KEY-----\nb. `);
    const out = streamed(source, chunks(source.length, 1000));
    expect(out).toMatch(/^a\. \[redacted:pem:[0-9a-f]{8}\]\nb\. $/);
  });
  test('escaped in JSON it is found too', () => {
    expect(redactor.redactText(JSON.stringify({ key: PEM }))).toMatch(/^\{"key":"\[redacted:pem:[0-9a-f]{8}\]"\}$/);
  });
});

describe('A85: known secrets in other clothes', () => {
  const bytes = Buffer.from(SECRET);
  const unicode = [...SECRET].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  const wrapped = SECRET.replace(/(.{7})/g, '$1\n');
  const clothes: readonly (readonly [string, string])[] = [
    ['raw', SECRET],
    ['base64, offset 0', bytes.toString('base64')],
    ['base64, offset 1', Buffer.concat([Buffer.from('a'), bytes, Buffer.from('zz')]).toString('base64')],
    ['base64, offset 2', Buffer.concat([Buffer.from('ab'), bytes, Buffer.from('zz')]).toString('base64')],
    ['base64url', bytes.toString('base64url')],
    ['hex', bytes.toString('hex')],
    ['upper hex', bytes.toString('hex').toUpperCase()],
    ['URL', encodeURIComponent(SECRET)],
    ['URL, every byte', [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')],
    ['JSON with escaped slash', JSON.stringify(SECRET).slice(1, -1).replaceAll('/', '\\/')],
    ['wrapped', wrapped],
    ['wrapped base64', bytes.toString('base64').replace(/(.{8})/g, '$1\r\n')],
    [
      'coloured',
      SECRET.split('')
        .map((c) => `\u001b[3${c.charCodeAt(0) % 8}m${c}\u001b[0m`)
        .join(''),
    ],
    ['zero-width', SECRET.split('').join('\u200b\u2060\ufeff\u00ad')],
    ['every character escaped as in JSON', unicode],
    ['the same within a text within a text', JSON.stringify(JSON.stringify(unicode)).slice(3, -3)],
    ['JSON within JSON within JSON', JSON.stringify(JSON.stringify(JSON.stringify(SECRET))).slice(7, -7)],
    ['C escapes', [...bytes].map((byte) => `\\x${byte.toString(16)}`).join('')],
    [
      'XML references',
      [...SECRET].map((c, index) => (index % 2 === 0 ? `&#${c.charCodeAt(0)};` : `&#x${c.charCodeAt(0).toString(16)};`)).join(''),
    ],
    ['partly in percent', [...SECRET].map((c, index) => (index % 3 === 0 ? `%${c.charCodeAt(0).toString(16)}` : c)).join('')],
    ['titles between', SECRET.split('').join('\u001b]0;title\u0007')],
  ];
  const stranger = createRedactor({ secrets: [], tagKey: new Uint8Array(32) });
  test.each(clothes)('%s', (_, text) => {
    for (const pad of [0, 1, 2, 8180, 8192]) {
      const source = Buffer.from(`${'.'.repeat(pad)}<${text}>${'.'.repeat(9000)}`);
      for (const size of [1, 7, 100_000]) {
        const out = streamed(source, chunks(source.length, size));
        // The control: who does not know the value lets it pass.
        expect(streamed(source, chunks(source.length, size), stranger)).toBe(source.toString('latin1'));
        expect(out.match(/\[redacted:install:[0-9a-f]{8}\]/g)).toHaveLength(1);
        expect(longestLeak(out.replaceAll('\n', ''), text.replaceAll(/[\r\n]/g, ''), 10)).toBeNull();
      }
    }
  });
  test('a value whose writer was stopped in the middle of it is redacted from twelve characters on', () => {
    for (const text of [SECRET, bytes.toString('hex'), unicode])
      for (let length = 1; length < text.length; length += 1) {
        const out = streamed(Buffer.from(`before ${text.slice(0, length)}`), [3, 9]);
        expect([length, longestLeak(out, text, text === unicode ? 78 : 12)]).toEqual([length, null]);
        expect(out.startsWith('before ')).toBe(true);
      }
    expect(redactor.redactText(`it ends with ${SECRET.slice(0, 5)}`)).toBe(`it ends with ${SECRET.slice(0, 5)}`);
  });
  test('values of several lines are found raw and encoded', () => {
    const multi = createRedactor({ secrets: [{ kind: 'multi', value: 'first line x\nsecond line y\n' }], tagKey: new Uint8Array(16) });
    expect(multi.redactText('<first line x\r\nsecond line y\r\n>')).toMatch(/^<\[redacted:multi:[0-9a-f]{8}\]\r\n>$/);
    expect(multi.redactText(JSON.stringify('first line x\nsecond line y\n'))).toMatch(/^"\[redacted:multi:/);
  });
  test('any known value, anywhere, in any chunks, is replaced and nothing else is', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9+/=_-]{10,60}$/),
        fc.nat(9000),
        fc.array(fc.nat(20_000), { maxLength: 6 }),
        (secret, offset, cuts) => {
          fc.pre(!'. '.repeat(5).includes(secret));
          const mine = createRedactor({ secrets: [{ kind: 'k', value: secret }], tagKey: new Uint8Array(16) });
          const source = Buffer.from(`${'. '.repeat(offset)}${secret}${' .'.repeat(500)}`);
          const out = streamed(
            source,
            cuts.filter((cut) => cut < source.length).sort((a, b) => a - b),
            mine,
          );
          return out.replace(/\[redacted:k:[0-9a-f]{8}\]/, secret) === source.toString() && out !== source.toString();
        },
      ),
      { numRuns: 60 },
    );
  });
  test('a value too short or too long to be recognised is refused when registered', () => {
    for (const value of ['short', 'x'.repeat(3000)])
      expect(() => createRedactor({ secrets: [{ kind: 'k', value }], tagKey: new Uint8Array(16) })).toThrow(/can be recognised/);
  });
});

describe('what is not secret', () => {
  test('hashes, lockfiles, words and long lines stay as they are', () => {
    const text = `${'a'.repeat(200_000)}\nsha512-${body(86)}==\n${body(64)}\nsk-learn is a task-list; risk-assessment-of-everything-in-here\nTOKEN=\nMY_TOKEN=\${OTHER_TOKEN}\nPASSWORD=changemechangeme\neyJ is how they begin\n`;
    expect(streamed(Buffer.from(text), chunks(text.length, 5000))).toBe(text);
  });
  test('assignments with a random value are redacted in output but do not withhold a file', () => {
    const line = `export DB_PASSWORD=${body(24)}\nDEBUG=1\n`;
    expect(redactor.redactText(line)).toMatch(/^export DB_PASSWORD=\[redacted:assignment:[0-9a-f]{8}\]\nDEBUG=1\n$/);
    expect(redactor.findSecrets(Buffer.from(line))).toEqual([]);
  });
  test('files: a known value is told from a pattern', () => {
    const hits = redactor.findSecrets(Buffer.from(`${SECRET}\n${KINDS['github'] ?? ''}\n`));
    expect(hits.map((hit) => [hit.known, hit.kind])).toEqual([
      [true, 'install'],
      [false, 'github'],
    ]);
    expect(redactor.containsMarker(redactor.redactText(SECRET))).toBe(true);
    expect(redactor.containsMarker('[redacted] and [redacted:x]')).toBe(false);
  });
});
