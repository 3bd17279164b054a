/**
 * What a bundle says of its runs, and what people read of its report: which self-test may stand for a run, and every line, harmless whatever the bundle
 * holds. PROTOCOL §§4, 11.
 */
import { describe, expect, test } from '@jest/globals';
import { digestOf, type Json, type TrajectoryId } from '@openexec/canon';
import type { Entry } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { bundleLines, type BundleReport, coverageLines, RunEnds, safeText } from '@openexec/verify';

const { after, runNamed } = fixtures;
type Members = { readonly [name: string]: Json };
const A = digestOf('a');
const B = digestOf('b');
const [RUN, OTHER, SELF] = [runNamed('a'), runNamed('b'), 'selftest/1' as TrajectoryId];
const GROUND: Members = { policySet: { digest: A }, catalogue: { digest: A }, profile: { digest: A }, kernel: { version: '1', flags: [] } };
const CITED: Members = { ...GROUND, selfTest: { trajectory: SELF, seq: 7 } };

/** A self-test that passed until 50, a run that opened at 40 citing it and closed; each part may be otherwise. */
function ends(
  changed: {
    readonly opened?: Members | null;
    readonly recorded?: Members | null;
    readonly test?: Members;
    readonly seq?: number;
    readonly at?: number;
    readonly closed?: Json;
    readonly more?: readonly string[];
  } = {},
) {
  const runs = new RunEnds();
  const take = (trajectory: TrajectoryId, kind: string, seq: number, body: Json | null, at = 40): void =>
    runs.take({ trajectory, kind: kind as Entry['kind'], seq, at: after(at) }, body);
  take('law' as TrajectoryId, 'run.opened', 0, CITED);
  if (changed.test !== undefined || changed.recorded !== null) take(SELF, 'selfTest.opened', 0, changed.test ?? GROUND);
  const recorded = { body: { passed: true, until: after(50), ...changed.recorded } };
  if (changed.recorded !== null) take(SELF, 'selfTest.recorded', changed.seq ?? 7, recorded);
  take(RUN, 'run.opened', 0, changed.opened === undefined ? CITED : changed.opened, changed.at ?? 40);
  for (const kind of changed.more ?? []) take(RUN, kind, 1, {});
  const result = { commit: 'c', tree: 't', ref: 'r' };
  if (changed.closed !== null) take(RUN, 'run.closed', 2, changed.closed === undefined ? { outcome: 'done', result } : changed.closed);
  return runs;
}
const governed = (changed: Parameters<typeof ends>[0]) => ends(changed).stated()[0]?.governed;

describe('a run', () => {
  test('is stated with its end, and governed where the self-test that it cites stands for it', () => {
    const runs = ends();
    expect(runs.stated()).toEqual([{ run: RUN, outcome: 'done', commit: 'c', tree: 't', ref: 'r', governed: true }]);
    expect([runs.has(RUN), runs.has(OTHER), [...runs.selfTests()]]).toEqual([true, false, [SELF]]);
  });
  test('is not governed by a self-test that failed, is over, of other ground, of another place, or not there', () => {
    expect(governed({})).toBe(true);
    expect(governed({ at: 50 })).toBe(true);
    expect(governed({ at: 51 })).toBe(false);
    for (const passed of [false, 'true', 1, null]) expect(governed({ recorded: { passed } })).toBe(false);
    expect(governed({ recorded: { until: 1 } })).toBe(false);
    expect(governed({ seq: 8 })).toBe(false);
    expect(governed({ recorded: null })).toBe(false);
    expect(governed({ recorded: null, test: GROUND })).toBe(false);
    for (const name of ['policySet', 'catalogue', 'profile']) {
      expect([name, governed({ test: { ...GROUND, [name]: { digest: B } } })]).toEqual([name, false]);
      expect([name, governed({ test: { ...GROUND, [name]: 1 } })]).toEqual([name, false]);
    }
    expect(governed({ test: { ...GROUND, kernel: { version: '2', flags: [] } } })).toBe(false);
    expect(governed({ opened: { ...CITED, selfTest: { trajectory: 'selftest/2', seq: 7 } } })).toBe(false);
    expect(governed({ opened: { ...CITED, selfTest: null } })).toBe(false);
    expect(governed({ opened: null })).toBe(false);
  });
  test('is not governed while it is open, nor where it did what it did not declare', () => {
    expect(ends({ closed: null }).stated()).toEqual([{ run: RUN, outcome: 'open', commit: null, tree: null, ref: null, governed: false }]);
    expect(governed({ more: ['effect.undeclared'] })).toBe(false);
    expect(governed({ more: ['fact.noted'] })).toBe(true);
  });
  test('whose closing is gone or lands nothing says no more than that', () => {
    const result = (value: Json) => ends({ closed: { outcome: 'done', result: value } }).stated()[0];
    for (const value of [
      null,
      {},
      { commit: 'c', tree: 't' },
      { commit: 'c', ref: 'r' },
      { tree: 't', ref: 'r' },
      { commit: 1, tree: 't', ref: 'r' },
      [],
    ] as Json[])
      expect(result(value)).toMatchObject({ outcome: 'done', commit: null, tree: null, ref: null });
    expect(ends({ closed: { outcome: 1 } }).stated()[0]).toMatchObject({ outcome: 'unknown', commit: null });
  });
  test('of which the opening is not there is stated by its end, and cites nothing', () => {
    const runs = new RunEnds();
    runs.take({ trajectory: OTHER, kind: 'stage.left', seq: 3, at: after(1) }, CITED);
    expect(runs.stated()).toEqual([{ run: OTHER, outcome: 'open', commit: null, tree: null, ref: null, governed: false }]);
    expect([...runs.selfTests()]).toEqual([]);
    runs.take({ trajectory: OTHER, kind: 'run.closed', seq: 4, at: after(1) }, null);
    expect(runs.stated()[0]).toMatchObject({ outcome: 'unknown' });
  });
});

const REPORT: BundleReport = {
  sound: true,
  level: 'witnessed',
  trust: 'pinned',
  fingerprint: A,
  origin: 'o\u001b',
  size: 9,
  root: B,
  scope: { is: 'runs', runs: [RUN] },
  runs: [{ run: RUN, outcome: 'done', commit: 'c', tree: 't', ref: 'r', governed: true }],
  cosigners: ['w1', 'w2'],
  times: [],
  counts: { parts: 1, entries: 2, signatures: 3, proofs: 4, tiles: 5, blobs: 6, erased: 0, withheld: 0 },
  firstBad: null,
  findings: [],
  omitted: 0,
  checked: ['one', 'two'],
  notChecked: ['three (verify --deep)', 'four'],
};
const dress = { safe: (text: string) => safeText(text), good: (text: string) => `<${text}>`, bad: (text: string) => `[${text}]` };
const lines = (changed: Partial<BundleReport> = {}) => bundleLines({ ...REPORT, ...changed }, dress);

describe('the lines of a report', () => {
  test('say first whether it is sound, then what it is about', () => {
    expect(lines()).toEqual([
      '<✓ sound>: 1 parts, 2 entries, 3 signatures, 4 proofs, 6 blobs',
      'level        witnessed; trust pinned; cosigned by w1, w2',
      `ledger       o\\u{1b}  ${A}`,
      `tree         9 entries, root ${B}`,
      'holds        1 run',
      `run          ${RUN} done, git commit c, tree t, governed`,
    ]);
  });
  test('say what is unknown, gone, wrong and left out', () => {
    const nothing = {
      level: null,
      trust: 'selfAsserted' as const,
      origin: null,
      fingerprint: null,
      size: null,
      root: null,
      scope: null,
      cosigners: [],
    };
    const findings = [
      { part: 'a\n', index: null, code: 'bundle.extra' as const, message: 'm\u202e' },
      { part: 'b', index: 4, code: 'entry.prev' as const, message: 'n' },
    ];
    const run = { run: OTHER, outcome: 'open', commit: null, tree: null, ref: null, governed: false };
    const counts = { ...REPORT.counts, erased: 2, withheld: 1 };
    expect(lines({ ...nothing, sound: false, runs: [run], counts, findings, omitted: 7, firstBad: 4 })).toEqual([
      '[✗ not sound]: first bad index 4',
      'level        none; trust self-asserted: no fingerprint was given',
      'ledger       unknown origin  no fingerprint',
      'tree         unknown entries, root none',
      'holds        unknown',
      `run          ${OTHER} open, not stated as governed`,
      'gone         2 payloads erased lawfully, 1 payloads and blobs withheld',
      '[✗] a\\u{a}: bundle.extra: m\\u{202e}',
      '[✗] b index 4: entry.prev: n',
      '  and 7 more',
    ]);
    expect(lines({ sound: false })[0]).toBe('[✗ not sound]');
    expect(lines({ counts: { ...REPORT.counts, erased: 1 } })).toContain(
      'gone         1 payloads erased lawfully, 0 payloads and blobs withheld',
    );
    expect(lines({ runs: [{ ...run, commit: 'c' }] })[5]).toBe(`run          ${OTHER} open, git commit c, tree , not stated as governed`);
  });
  test('name the scope', () => {
    const held = (scope: BundleReport['scope']) => lines({ scope })[4];
    expect(held({ is: 'ledger' })).toBe('holds        the whole ledger');
    expect(held({ is: 'runs', runs: [] })).toBe('holds        0 runs');
    expect(held({ is: 'runs', runs: [RUN, OTHER] })).toBe('holds        2 runs');
    expect(held({ is: 'range', from: 3, to: 8 })).toBe('holds        entries 3 to 7');
  });
  test('end with what was checked and what was not', () => {
    expect(coverageLines(REPORT)).toEqual([
      'checked      one',
      '             two',
      'not checked  three (verify --deep)',
      '             four',
    ]);
    expect(coverageLines(REPORT, true)).toEqual(['checked      one', '             two', 'not checked  four']);
  });
  test('hold no control character, and no more than so many letters', () => {
    expect(safeText('a\u0000\u001b[1m\u0085\u200b\u2028\u2029\ud800ä€😀')).toBe(
      'a\\u{0}\\u{1b}[1m\\u{85}\\u{200b}\\u{2028}\\u{2029}\\u{d800}ä€😀',
    );
    expect([safeText('😀😀😀', 3), safeText('😀😀😀', 2), safeText('x'.repeat(401)).length]).toEqual(['😀😀😀', '😀😀…', 401]);
  });
});
