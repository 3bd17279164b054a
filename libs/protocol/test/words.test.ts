/**
 * The words of the protocol by samples, the nearest word, and the registry pinned as literals: a kind is never renamed, removed or moved.
 */
import { describe, expect, test } from '@jest/globals';
import type { TrajectoryId } from '@openexec/canon';
import fc from 'fast-check';
import type * as z from 'zod';
import {
  actionPattern,
  type Family,
  familyOf,
  hostPattern,
  isKind,
  KINDS,
  kindRow,
  nearest,
  pathPattern,
  policyBundle,
  REGISTRY,
  words,
} from '../src/index.ts';

const SAMPLES: readonly (readonly [string, z.ZodType, readonly unknown[], readonly unknown[]])[] = [
  [
    'digest',
    words.digest,
    [`sha256:${'0a'.repeat(32)}`],
    [`sha256:${'0A'.repeat(32)}`, '0a'.repeat(32), `sha256:${'0a'.repeat(32)}\n`, `sha1:${'0a'.repeat(20)}`],
  ],
  ['keyId', words.keyId, ['0'.repeat(32)], ['0'.repeat(31), 'A'.repeat(32), '']],
  [
    'instant',
    words.instant,
    ['2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.678+00:00', '2026-01-02 03:04:05.678Z'],
  ],
  [
    'trajectory',
    words.trajectory,
    ['law', 'ledger', 'memory', 'run/ab01', 'selftest/x', 'writ/a.b_c-d'],
    ['run/', 'run', 'Run/a', 'run/a/b', 'run/-a', 'other/a', `run/${'a'.repeat(125)}`],
  ],
  ['eventId', words.eventId, ['a', '01HX-a_b.c'], ['', '-a', 'a'.repeat(65), 'a b']],
  ['count', words.count, [0, Number.MAX_SAFE_INTEGER], [-1, 0.5, Number.MAX_SAFE_INTEGER + 1, '1', Number.NaN]],
  ['name', words.name, ['a', 'run_tests', 'model.ask'], ['A', '1a', '', 'a b', `a${'b'.repeat(64)}`]],
  ['code', words.code, ['budget.exhausted', 'stage.leftEarly'], ['Budget', 'a.', 'a..b', 'a-b', '']],
  ['oid', words.oid, ['0'.repeat(40), 'f'.repeat(64)], ['0'.repeat(39), 'F'.repeat(40), '0'.repeat(50)]],
  [
    'path',
    words.path,
    ['a', 'a/b.c', '.env', '..a/b', 'a/...', 'with space/ü', 'new\nline'],
    ['', '/a', 'a/', 'a//b', '.', '..', './a', 'a/.', 'a/../b', '../a', 'a\0b', 'a\n/..'],
  ],
  ['pathPattern', pathPattern, ['**', 'a', 'src/**', 'a/b/**'], ['', '/**', '**/a', 'a*', 'src/*', '../**', 'a//**', 'a/../**', '*']],
  ['actionPattern', actionPattern, ['*', 'read_file', 'read_*', 'model.ask'], ['', '**', 'A', '*a', 'a*b', 'a b']],
  [
    'hostPattern',
    hostPattern,
    ['a.example.org:443', '*.example.org:443', 'localhost:80'],
    ['a.example.org', '*:443', 'A.org:1', 'a..b:1', 'a:0', '*a.org:1', '-a.org:1', 'a:1 '],
  ],
  [
    'inlineOrBlob',
    words.inlineOrBlob,
    [{ inline: null }, { inline: { a: [1, 'x'] } }],
    [{}, { inline: 1, blob: 1 }, { blob: { digest: 'x' } }],
  ],
  [
    'policyBundle',
    policyBundle,
    [],
    [
      { version: 2, name: 'a', rules: [] },
      { version: 1, name: 'a', rules: [] },
    ],
  ],
];

describe('the words', () => {
  const cases = SAMPLES.flatMap(([name, schema, good, bad]) => [
    ...good.map((value) => ({ name, schema, value, accepted: true })),
    ...bad.map((value) => ({ name, schema, value, accepted: false })),
  ]);
  test.each(cases.map((each) => [each.name, JSON.stringify(each.value), each] as const))('%s and %s', (_name, _text, each) => {
    expect(each.schema.safeParse(each.value).success).toBe(each.accepted);
  });

  test('an accepted path never leaves the tree, whatever its parts', () => {
    const part = fc.constantFrom('', '.', '..', 'a', '.a', 'a.', '...', 'ü', ' ', '\n');
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const sound = parts.every((each) => each !== '' && each !== '.' && each !== '..');
        expect(words.path.safeParse(parts.join('/')).success).toBe(sound);
      }),
    );
  });
});

describe('the nearest word', () => {
  test.each([
    ['apporval_mode', ['approval_mode', 'toolset'], 'approval_mode'],
    ['stage', ['stages', 'name'], 'stages'],
    ['x', ['y', 'z'], 'y'],
    ['entirely', ['different'], null],
    ['same', ['same', 'sane'], 'same'],
    ['abc', [], null],
  ])('to %s of %j is %s', (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected);
  });

  test('is always one of the candidates, and a candidate itself is its own', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.array(fc.string({ maxLength: 8 }), { maxLength: 5 }), (word, candidates) => {
        const found = nearest(word, candidates);
        expect(found === null || candidates.includes(found)).toBe(true);
        expect(nearest(word, [...candidates, word])).toBe(word);
      }),
    );
  });
});

/** Frozen: what has once been recorded under registry 1 must be readable for ever. */
const PINNED: Readonly<Record<string, string>> = {
  'ledger.founded': 'law fact',
  'key.trusted': 'law fact',
  'key.retired': 'law fact',
  'policy.adopted': 'law fact',
  'writ.issued': 'law fact',
  'writ.revoked': 'law fact',
  'writ.restored': 'law fact',
  'ledger.upgraded': 'law fact',
  'anchor.recorded': 'ledger fact',
  'result.applied': 'ledger fact',
  'payload.erased': 'ledger fact',
  'ledger.pruned': 'ledger fact',
  'ledger.sealed': 'ledger fact',
  'writ.carved': 'writ fact',
  'writ.settled': 'writ fact',
  'run.opened': 'run fact',
  'run.resumed': 'run fact',
  'run.pauseRequested': 'run fact',
  'run.cancelRequested': 'run fact',
  'run.rewound': 'run fact',
  'run.parked': 'run judgement',
  'run.closed': 'run judgement',
  'stage.entered': 'run judgement',
  'stage.left': 'run judgement',
  'router.planned': 'run fact',
  'context.packed': 'run fact',
  'model.asked': 'run judgement',
  'model.answered': 'run fact',
  'model.failed': 'run fact',
  'intent.submitted': 'run,selftest fact',
  'intent.declared': 'run,selftest judgement',
  'policy.decided': 'run,selftest judgement',
  'proposal.staged': 'run,selftest judgement',
  'proposal.suspended': 'run,selftest judgement',
  'proposal.rejected': 'run,selftest judgement',
  'approval.requested': 'run,selftest judgement',
  'approval.voted': 'run,selftest fact',
  'approval.expired': 'run fact',
  'approval.resolved': 'run,selftest judgement',
  'execution.started': 'run judgement',
  'execution.observed': 'run fact',
  'execution.failed': 'run fact',
  'execution.lost': 'run judgement',
  'effect.undeclared': 'run fact',
  'commit.recorded': 'run judgement',
  'commit.compensated': 'run judgement',
  'delegation.opened': 'run judgement',
  'delegation.closed': 'run fact',
  'skill.bound': 'run fact',
  'fact.noted': 'run,selftest judgement',
  'selfTest.opened': 'selftest fact',
  'selfTest.recorded': 'selftest fact',
  'pointer.recorded': 'memory fact',
  'pointer.retired': 'memory fact',
};

describe('the registry', () => {
  test('of number 1 holds exactly these kinds, where and as what', () => {
    const rows = Object.keys(KINDS).map((kind) => {
      if (!isKind(kind)) throw new Error(kind);
      const row = kindRow(kind);
      return [kind, `${row.families.join(',')} ${row.class}`];
    });
    expect(REGISTRY).toBe(1);
    expect(Object.fromEntries(rows)).toEqual(PINNED);
  });

  test('knows no inherited name as a kind', () => {
    expect(['toString', '__proto__', 'constructor', 'run.openedX', ''].filter(isKind)).toEqual([]);
  });

  test.each<readonly [string, Family | null]>([
    ['law', 'law'],
    ['run/a', 'run'],
    ['writ/a', 'writ'],
    ['peer/a', null],
    ['evolution', null],
    ['governance', null],
    ['runs/a', null],
  ])('the family of %s is %s', (trajectory, family) => {
    expect(familyOf(trajectory as TrajectoryId)).toBe(family);
  });

  test('every row says who appends, what precedes and what follows', () => {
    for (const kind of Object.keys(PINNED)) {
      if (!isKind(kind)) throw new Error(kind);
      const row = kindRow(kind);
      expect([row.by, row.after, row.effect].every((text) => text.length > 3)).toBe(true);
    }
  });
});
