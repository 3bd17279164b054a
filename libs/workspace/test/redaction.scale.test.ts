/**
 * Redaction at scale: three thousand synthetic secrets of twelve kinds in streams of every chunk size, the second opinion, and how rarely ordinary
 * sources are taken for secrets (SECURITY §10: 0 leaks, at most 0.5 false finds a megabyte).
 */
import { describe, expect, test } from '@jest/globals';
import { createRedactor, loadSecondOpinion, type Redactor } from '../src/index.ts';
import { LISTED, packageSources } from './packageSources.ts';
import { synthetic, SYNTHETIC_KINDS } from './synthetic.ts';

const KEY = new Uint8Array(32).fill(9);
const own = createRedactor({ secrets: [], tagKey: KEY });

function streamed(source: Buffer, size: number, by: Redactor): string {
  const stream = by.stream();
  const out: Uint8Array[] = [];
  for (let from = 0; from < source.length; from += size) out.push(stream.push(source.subarray(from, from + size)));
  out.push(stream.end());
  return Buffer.concat(out).toString('latin1');
}
/** Secrets of which twelve characters in a row can still be read. */
function leaked(out: string, secrets: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  for (let at = 0; at + 12 <= out.length; at += 1) seen.add(out.slice(at, at + 12));
  return secrets.filter((secret) =>
    Array.from({ length: secret.length - 11 }, (_, at) => secret.slice(at, at + 12)).some(
      (part) => seen.has(part) && !/^-----(?:BEGIN|END)|PRIVATE KEY/.test(part),
    ),
  );
}

describe('three thousand synthetic secrets of twelve kinds (A83)', () => {
  const all = synthetic(3000, 20_260_101);
  const source = Buffer.from(all.map(({ secret, before, after }) => `${before}${secret}${after}`).join(''), 'latin1');

  test('the set is what it says, and every one of them is readable before redaction', () => {
    expect(all).toHaveLength(3000);
    expect(new Set(all.map(({ kind }) => kind)).size).toBe(12);
    expect(SYNTHETIC_KINDS).toHaveLength(12);
    expect(
      leaked(
        source.toString('latin1'),
        all.map(({ secret }) => secret),
      ),
    ).toHaveLength(3000);
  });
  test.each([1, 7, 64, 256, 1024, 4096, 8192, 16_384, 65_536])(
    'in chunks of %d bytes none is left, and the words between them are',
    (size) => {
      const out = streamed(source, size, own);
      expect(
        leaked(
          out,
          all.map(({ secret }) => secret),
        ),
      ).toEqual([]);
      expect(out.match(/\[redacted:[a-z0-9.-]+:[0-9a-f]{8}\]/g)?.length).toBe(3000);
    },
  );
  test('cut per chunk without holding back, many would be left: the measure can fail', () => {
    let out = '';
    for (let from = 0; from < source.length; from += 64)
      out += Buffer.from(own.redactBytes(source.subarray(from, from + 64))).toString('latin1');
    expect(
      leaked(
        out,
        all.map(({ secret }) => secret),
      ).length,
    ).toBeGreaterThan(1000);
  });
  test('the same three thousand as known values, in six encodings, in chunks of any size', () => {
    const few = all.filter(({ kind }) => kind !== 'pem').filter((_, index) => index % 137 === 0);
    const by = createRedactor({ secrets: few.map(({ secret }) => ({ kind: 'known', value: secret })), tagKey: KEY });
    const dressed = few.flatMap(({ secret }) => {
      const bytes = Buffer.from(secret);
      return [0, 1, 2]
        .map((pad) => Buffer.concat([Buffer.alloc(pad, 97), bytes, Buffer.from('zz')]).toString('base64'))
        .concat(bytes.toString('hex'), encodeURIComponent(secret), JSON.stringify(secret), secret.split('').join('\u001b[1m'));
    });
    const text = Buffer.from(dressed.map((each) => `say ${each} here\n`).join(''));
    for (const size of [1, 64, 4096, 65_536]) {
      const out = streamed(text, size, by);
      expect(out.match(/\[redacted:known:/g)).toHaveLength(dressed.length);
      expect(
        leaked(
          out,
          dressed.map((each) => each.slice(2, -4)),
        ),
      ).toEqual([]);
    }
  });
  test('a credential right behind an escaped line break, a tab or a colour is found too', () => {
    for (const { kind, secret } of all.slice(0, 120))
      for (const border of ['\\n', '\\\\n', '\\t', '\\u000a', '\u001b[31m', '\\u001b[0m', '%0A'])
        expect([kind, border, leaked(own.redactText(`"x${border}${secret} y"`), [secret])]).toEqual([kind, border, []]);
  });
  test('a value assigned in a line that is cut anywhere is redacted as a whole', () => {
    const value = 'q7XkP2mZ9tR4vB8nL3wY6cF1';
    for (let at = 8192 - 2048 - 60; at < 8192 - 2048 + 60; at += 1) {
      const before = `${'words here\n'.repeat(700).slice(0, at - 1)}\n`;
      const out = streamed(Buffer.from(`${before}MY_SECRET_TOKEN=${value}\n${'after\n'.repeat(2000)}`), 8192, own);
      expect([at, out.includes(value.slice(0, 12)) || out.includes(value.slice(-12))]).toEqual([at, false]);
    }
  });
});

describe('the second opinion', () => {
  test('finds what our own rules do not know, only in what is there in one piece, and obeys no comment in the text', async () => {
    const both = createRedactor({ secrets: [], tagKey: KEY, second: await loadSecondOpinion() });
    const token = `hf${'_'}${'qXkPmZtRvBnLwYcFhJdSgAbCdEfGhIjKlMnOpQ'.slice(0, 34)}`;
    for (const text of [`token ${token} end`, `// secretlint-disable\ntoken ${token}\n`, `/* secretlint-disable-next-line */\n${token}`]) {
      expect(own.redactText(text)).toBe(text);
      expect(both.redactText(text)).toMatch(/\[redacted:huggingface:[0-9a-f]{8}\]/);
      expect(both.redactText(text)).not.toContain(token);
      expect(both.findSecrets(Buffer.from(text))).toMatchObject([{ known: false, kind: 'huggingface' }]);
    }
    const once = both.redactText(`postgres://user:${'p4ssw0rd-x1y2'}@db.example.org/x and ${token}`);
    expect(both.redactText(once)).toBe(once);
  });
  test('a finding keeps its place beyond the first window, and hostile texts take no longer than plain ones', async () => {
    const second = await loadSecondOpinion();
    const token = `hf${'_'}${'qXkPmZtRvBnLwYcFhJdSgAbCdEfGhIjKlMnOpQ'.slice(0, 34)}`;
    for (const at of [0, (1 << 20) - 20, (1 << 20) - 8192 - 5, 3_000_000]) {
      const text = `${' '.repeat(at)}${token} ${' '.repeat(100)}`;
      expect(second(text).every((hit) => hit.start === at && hit.end === at + token.length)).toBe(true);
      expect(second(text).length).toBeGreaterThan(0);
    }
  });
});

describe('what is not secret', () => {
  test('over the sources of a fixed list of packages at most half a find a megabyte, by both opinions together', async () => {
    const both = createRedactor({
      secrets: [{ kind: 'env', value: 'correct-horse-battery' }],
      tagKey: KEY,
      second: await loadSecondOpinion(),
    });
    const files = packageSources();
    expect(new Set(files.map((file) => file.packageName)).size).toBe(LISTED.length);
    const bytes = files.reduce((sum, file) => sum + file.content.length, 0);
    expect(bytes).toBeGreaterThan(15e6);
    const finds = files.flatMap((file) => both.findSecrets(file.content).map((hit) => `${file.path}: ${hit.kind}`));
    expect({ finds, tooMany: finds.length / (bytes / 1e6) > 0.5 }).toEqual({ finds, tooMany: false });
  });
});
