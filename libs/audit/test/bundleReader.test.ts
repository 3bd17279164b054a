/**
 * What a reader brings along: a policy of witnesses, a kept checkpoint; and what a source may do to it: lie about lengths, grow, end early. PROTOCOL §11.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, canonicalText, err, ok, toBase64, utf8Encode } from '@openexec/canon';
import { House, ONE_AGENT, ONE_CHECK, PEOPLE, RunDriver } from '@openexec/kernel/fixture';
import { addSignatureLines, cosign, formatCosignerVkey, seedSigner, sign } from '@openexec/proof';
import {
  bundleLines,
  type BundleOptions,
  type BundlePart,
  CHECKPOINT,
  CHECKPOINT_TIME,
  DESCRIPTION,
  EVENTS,
  formatEnvelope,
  formatStatement,
  partsOf,
  readTar,
  STATEMENT,
  statementSigningBytes,
  TAR_END,
  tarHeader,
  tarPadding,
  verifyBundle,
} from '@openexec/verify';
import { byLog, described, found, listed, linesIn, statementOf, textOf, withLines, withParts } from './bundleForger.ts';
import { bundleOf, check, type Files, foundIn, headOf, LOG, RUNS, VKEY } from './bundles.ts';

const WITNESS = seedSigner({ keyName: 'witness.test/w1', seed: PEOPLE.ben.seed });
const OTHER = seedSigner({ keyName: 'witness.test/w2', seed: PEOPLE.cleo.seed });
const POLICY = `log ${VKEY}\nwitness w1 ${formatCosignerVkey(WITNESS)}\nquorum w1\n`;
let house: House;
let good: Files;
let cosigned: Files;

beforeAll(async () => {
  house = await House.found();
  const run = await RunDriver.open(house, { blueprint: ONE_CHECK });
  await run.play({ tests: [true] });
  good = (await bundleOf(house, RUNS(run.run))).files;
  const { size, note } = await headOf(house);
  const line = await cosign(`${note.split('\n\n')[0] ?? ''}\n`, WITNESS, 1_772_400_000n);
  const added = addSignatureLines(note, line);
  const checkpoint = { size, note: typeof added === 'string' ? added : added.ok ? added.value : '' };
  cosigned = (await bundleOf(house, RUNS(run.run), { checkpoint })).files;
});

describe('a policy of witnesses', () => {
  test('that is met makes the bundle witnessed, and names who cosigned', async () => {
    const report = await check(cosigned, { policy: POLICY, trust: house.fingerprint });
    expect(report).toMatchObject({ sound: true, level: 'witnessed', cosigners: ['witness.test/w1'] });
    expect(report.notChecked.join('\n')).not.toContain('cosignatures of witnesses');
    expect(report.notChecked.join('\n')).not.toContain('another history');
    // Without the policy the same bundle is signed, and no more is claimed of it.
    expect(await check(cosigned)).toMatchObject({ sound: true, level: 'signed', cosigners: [] });
  });

  test('that is not met, is of another witness, another log, or no policy is a finding', async () => {
    const strange = POLICY.replace(formatCosignerVkey(WITNESS), formatCosignerVkey(OTHER));
    expect(await found(good, { policy: POLICY })).toEqual([`witness.missing ${CHECKPOINT}`]);
    expect(await found(cosigned, { policy: strange })).toEqual([`witness.missing ${CHECKPOINT}`]);
    expect(await found(cosigned, { policy: POLICY.replace(VKEY, 'x') })).toEqual(['witness.missing your policy']);
    expect(await found(cosigned, { policy: 'nothing of the kind' })).toEqual(['witness.missing your policy']);
    // A policy that asks for nobody is met by nobody, and makes nothing witnessed.
    expect(await check(cosigned, { policy: `log ${VKEY}\nquorum none\n` })).toMatchObject({ level: 'signed' });
  });
});

test('a kept checkpoint that is none, or of another log, is said to be so', async () => {
  const { note } = await headOf(house);
  expect(await found(good, { since: note })).toEqual([]);
  for (const since of ['', 'x', note.replace('ledger.test/house', 'ledger.test/other')])
    expect(await found(good, { since })).toEqual(['checkpoint.signature your checkpoint']);
});

describe('a statement', () => {
  const signed = (payload: Bytes, timestamps: readonly Bytes[] = []): Files =>
    withParts(good, {
      [STATEMENT]: formatEnvelope({
        payload,
        key: LOG.keyId,
        signature: sign(PEOPLE.log.seed, statementSigningBytes(payload)),
        timestamps,
      }),
    });
  const own = (): Bytes => formatStatement(statementOf(good));

  test('with timestamps says that they were not checked, and a changed spelling of one is found', async () => {
    const stamped = signed(own(), [utf8Encode('token')]);
    const report = await check(stamped);
    expect([report.findings, report.notChecked.filter((line) => line.includes('RFC 3161')).length]).toEqual([[], 1]);
    const text = textOf(stamped, STATEMENT);
    for (const other of [
      text.replace('"signedTimestamp":"', '"signedTimestamp":"*'),
      text.replace('"signedTimestamp"', '"signedTimestamq"'),
    ])
      expect(await found(withParts(stamped, { [STATEMENT]: other }))).toEqual([`bundle.malformed ${STATEMENT}`]);
  });

  test('that is signed and is no statement about a bundle is refused', async () => {
    const statement = JSON.parse(Buffer.from(own()).toString()) as { predicate: object; subject: object[] };
    const others = [
      utf8Encode('{'),
      utf8Encode('[]'),
      utf8Encode('{}'),
      utf8Encode(canonicalText({ predicate: { runs: [null] } })),
      utf8Encode(canonicalText({ ...statement, subject: [] } as never)),
      utf8Encode(canonicalText({ ...statement, predicate: { ...statement.predicate, size: 'large', more: 1 } } as never)),
    ];
    for (const payload of others) expect(await found(signed(payload))).toEqual([`bundle.malformed ${STATEMENT}`]);
    for (const text of ['[]', '{}', '{"dsseEnvelope":1}', '1'])
      expect(await found(withParts(good, { [STATEMENT]: text }))).toEqual([`bundle.malformed ${STATEMENT}`]);
  });

  test('of a bundle of a run that a gateway asked for covers the gateway alone, and cannot be said to cover more', async () => {
    const place = await House.found();
    const open = await RunDriver.open(place, { blueprint: ONE_AGENT });
    await open.fact('intent.submitted', {
      channel: 'mcp',
      action: 'read_file',
      arguments: { inline: { path: 'README.md' } },
      claims: { rationale: null, claimedRisk: null },
    });
    const { files } = await bundleOf(place, RUNS(open.run));
    const report = await check(files);
    expect([report.sound, report.findings]).toEqual([true, []]);
    expect(report.notChecked.join('\n')).toContain('beside the gateway');
    expect((await check(good)).notChecked.join('\n')).not.toContain('beside the gateway');
    const claimed = byLog(described(files, { coverage: 'full' }), { coverage: 'full' });
    expect(await found(claimed)).toEqual([`bundle.malformed ${DESCRIPTION}`]);
    expect(await found(byLog(described(files, { coverage: 'full' })))).toContain(`statement.wrong ${STATEMENT}`);
    // Less may be claimed than could be.
    expect(await found(byLog(described(good, { coverage: 'gatewayOnly' }), { coverage: 'gatewayOnly' }))).toEqual([]);
  });
});

describe('times', () => {
  const token = utf8Encode('a token');
  const asked: Bytes[] = [];
  const stamped = async () => {
    asked.length = 0;
    const stamp = (data: Bytes) => {
      asked.push(data);
      return Promise.resolve(ok(token));
    };
    return (await bundleOf(house, { is: 'ledger' }, { stamp })).files;
  };
  const holds: BundleOptions['time'] = () => ok({ at: '2026-03-01T09:00:00.000Z', authority: 'CN=Test' });

  test('are put over the checkpoint and over the signature of the statement, and said to be not checked where nobody can', async () => {
    const files = await stamped();
    const { dsseEnvelope } = JSON.parse(textOf(files, STATEMENT)) as { dsseEnvelope: { signatures: { sig: string }[] } };
    expect(asked.map((data) => toBase64(data))).toEqual([toBase64(files.get(CHECKPOINT) ?? token), dsseEnvelope.signatures[0]?.sig]);
    const report = await check(files);
    expect([report.sound, report.findings, report.times]).toEqual([
      true,
      [],
      [STATEMENT, CHECKPOINT_TIME].map((part) => ({ part, checked: null })),
    ]);
    expect(report.notChecked.join('\n')).toContain('2 RFC 3161 times');
    expect(report.checked.join('\n')).not.toContain('RFC 3161');
    expect((await check(good)).notChecked.join('\n')).not.toContain('RFC 3161');
  });

  test('are held against the authorities of the reader: over exactly these bytes, told with their time, refused where they do not hold', async () => {
    const files = await stamped();
    const seen: string[] = [];
    const time: BundleOptions['time'] = (response, data) => {
      seen.push(`${toBase64(response)} ${toBase64(data)}`);
      return holds(response, data);
    };
    const report = await check(files, { time });
    expect(seen.sort()).toEqual(asked.map((data) => `${toBase64(token)} ${toBase64(data)}`).sort());
    expect(report).toMatchObject({
      sound: true,
      times: [{ checked: { at: '2026-03-01T09:00:00.000Z', authority: 'CN=Test' } }, { checked: { authority: 'CN=Test' } }],
    });
    expect(report.checked.join('\n')).toContain('RFC 3161');
    expect(report.notChecked.join('\n')).not.toContain('RFC 3161');
    const dress = { safe: (text: string) => `<${text}>`, good: (text: string) => text, bad: (text: string) => text };
    expect(bundleLines(report, dress).join('\n')).toContain(`time         <${CHECKPOINT_TIME}>: 2026-03-01T09:00:00.000Z by <CN=Test>`);
    expect(foundIn(await check(files, { time: () => err({ message: 'over other bytes' }) }))).toEqual([
      `timestamp.refused ${STATEMENT}`,
      `timestamp.refused ${CHECKPOINT_TIME}`,
    ]);
  });

  test('that the reader asks for and that are not there are missed; a token that is too large is refused', async () => {
    expect(foundIn(await check(good, { time: holds }))).toEqual([`timestamp.missing ${STATEMENT}`]);
    const large = byLog(withParts(good, { [CHECKPOINT_TIME]: new Uint8Array(1024 * 1024 + 1) }));
    expect(await found(large)).toEqual([`bundle.tooLarge ${CHECKPOINT_TIME}`]);
  });

  test('that an authority does not give make no bundle', async () => {
    for (const times of [0, 1]) {
      let given = 0;
      const stamp = () => Promise.resolve(given++ < times ? ok(token) : err({ message: 'the authority is closed' }));
      await expect(bundleOf(house, { is: 'ledger' }, { stamp })).rejects.toThrow('bundle.timestamp: the authority is closed');
    }
  });
});

describe('events', () => {
  test.each([
    ['no newline at their end', (text: string) => text.trimEnd(), 'bundle.truncated'],
    ['an empty line', (text: string) => `\n${text}`, 'bundle.malformed'],
    ['a line that is a list', (text: string) => `[]\n${text}`, 'bundle.malformed'],
    ['a sequence of other digits', (text: string) => text.replace('"sequence":"0', '"sequence":"'), 'bundle.malformed'],
    [
      'a sequence beyond any ledger',
      (text: string) => text.replace(/"sequence":"\d{19}"/, `"sequence":"${'9'.repeat(19)}"`),
      'bundle.malformed',
    ],
    ['salt that is no text', (text: string) => text.replace(/"salt":"[^"]*"/, '"salt":1'), 'bundle.malformed'],
    ['salt that is no base64', (text: string) => text.replace(/"salt":"[^"]*"/, '"salt":"*"'), 'bundle.malformed'],
  ])('with %s are refused', async (_, change, code) => {
    const files = byLog(withParts(good, { [EVENTS]: change(textOf(good, EVENTS)) }));
    expect((await check(files)).findings).toContainEqual(expect.objectContaining({ part: EVENTS, code }));
  });

  test('with an index beyond the signed tree, or without any entry, are refused', async () => {
    const last = linesIn(good).length - 1;
    const beyond = withLines(good, (lines) =>
      lines.map((line, at) =>
        at === last ? line.replace(/"sequence":"\d{19}"/, `"sequence":"${'7'.padStart(19, '0').replace(/^0000/, '0001')}"`) : line,
      ),
    );
    expect((await check(byLog(beyond))).findings).toContainEqual(expect.objectContaining({ part: EVENTS, code: 'event.notInTree' }));
    expect(await found(byLog(withParts(good, { [EVENTS]: '' })))).toContain(`ledger.unfounded ${EVENTS}`);
    expect(await found(byLog(withParts(good, { [EVENTS]: null })))).toEqual([`bundle.missing ${EVENTS}`]);
  });
});

describe('a source that lies', () => {
  const reading = async (path: string, lie: Partial<BundlePart>) => {
    const files = listed(good);
    const parts = partsOf(
      [...files].map(([each, bytes]): BundlePart => {
        const part = { path: each, bytes: bytes.length, read: () => whole(bytes) };
        return each === path ? { ...part, ...lie } : part;
      }),
    );
    if (!parts.ok) throw new Error(parts.error.message);
    const report = await verifyBundle(parts.value, { trust: null, policy: null, since: null });
    return report.findings.map(({ code, part }) => `${code} ${part}`);
  };

  test('about the length of a part is found: longer, shorter, other bytes the second time', async () => {
    for (const path of ['bundle.json', 'checkpoint', 'log.vkey', STATEMENT, 'proofs/law.tlog-proof']) {
      const { length } = good.get(path) ?? [];
      expect(await reading(path, { bytes: length + 1 })).toContain(`bundle.truncated ${path}`);
      expect(await reading(path, { bytes: length - 1 })).toContain(`bundle.unreadable ${path}`);
    }
    let times = 0;
    const read = () =>
      whole(times++ === 0 ? (good.get('checkpoint') ?? new Uint8Array()) : new Uint8Array(good.get('checkpoint')?.length ?? 0));
    expect(await reading('checkpoint', { read })).toContain('checkpoint.signature checkpoint');
  });

  test('is found where a text is no text', async () => {
    for (const path of ['checkpoint', 'log.vkey', 'proofs/law.tlog-proof'])
      expect(await found(listed(withParts(good, { [path]: Uint8Array.of(0xff, 0xfe) })))).toContain(`bundle.malformed ${path}`);
    expect(await found(withParts(good, { MANIFEST: Uint8Array.of(0xff, 0x0a) }))).toEqual(['bundle.malformed MANIFEST']);
  });

  test('fails by itself when its disk does: that is no finding', async () => {
    const read = (): AsyncIterable<Bytes> => {
      throw new Error('the disk is gone');
    };
    for (const path of ['MANIFEST', EVENTS]) await expect(reading(path, { read })).rejects.toThrow('the disk is gone');
  });
});

describe('long paths in an archive', () => {
  const tar = (path: string): Uint8Array<ArrayBuffer> | null => {
    const header = tarHeader(path, 1);
    return header === null ? null : new Uint8Array(Buffer.concat([header, Buffer.from('x'), tarPadding(1), TAR_END]));
  };
  test.each([
    ['a'.repeat(100), true],
    ['a'.repeat(101), false],
    [`${'a'.repeat(60)}/${'b'.repeat(99)}`, true],
    [`${'a'.repeat(139)}/${'b'.repeat(100)}`, true],
    [`${'a'.repeat(160)}/${'b'.repeat(60)}`, false],
    [`a/${'b'.repeat(120)}`, false],
  ])('%s is split as ustar splits it, or refused: %s', async (path, fits) => {
    const bytes = tar(path);
    expect(bytes !== null).toBe(fits);
    if (bytes === null) return;
    const read = await readTar({ bytes: bytes.length, read: (at, length) => Promise.resolve(bytes.slice(at, at + length)) });
    expect(read.ok && [...read.value.keys()]).toEqual([path]);
  });
  test('a length that ustar cannot hold has no header', () => {
    expect(tarHeader('part', 8 ** 11)).toBeNull();
  });
});

async function* whole(bytes: Bytes): AsyncGenerator<Bytes> {
  yield await Promise.resolve(bytes);
}
