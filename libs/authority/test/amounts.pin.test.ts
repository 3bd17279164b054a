/** Amounts, scope, paths and skills at their edges, and what is said of what does not fit, word for word. PROTOCOL §5. */
import { describe, expect, test } from '@jest/globals';
import type { Skill } from '@openexec/protocol';
import {
  bodyType,
  carveTrajectory,
  checkSignature,
  coversAction,
  coversHost,
  coversPath,
  fitsBudget,
  isCarved,
  isPlainPath,
  matchHost,
  matchPath,
  narrowWrit,
  NO_AMOUNT,
  renderSkill,
  scopeOf,
  skillProblem,
  subtractAmount,
  VOTE_TYPE,
  withinAmount,
  WRIT_TYPE,
  writId,
} from '../src/index.ts';
import { idOf, publicKey, signed, writOf } from './support.ts';

describe('amounts and scope', () => {
  const grant = { tokens: 10, usdMicros: 20, calls: 3 };
  test('what is left may be asked for to the last, in every dimension', () => {
    const left = { tokens: 3, usdMicros: 7, calls: 1 };
    const taken = { settled: { tokens: 5, usdMicros: 10, calls: 1 }, reserved: { tokens: 2, usdMicros: 3, calls: 1 } };
    expect(fitsBudget({ grant, ...taken, ask: left })).toEqual({ ok: true, value: undefined });
    for (const dimension of ['tokens', 'usdMicros', 'calls'] as const)
      expect(fitsBudget({ grant, ...taken, ask: { ...left, [dimension]: left[dimension] + 1 } })).toMatchObject({ error: { dimension } });
  });
  test('what does not fit says what was asked, what is left, and what to do', () => {
    const reserved = { tokens: 4, usdMicros: 0, calls: 0 };
    expect(fitsBudget({ grant, settled: { ...NO_AMOUNT, tokens: 5 }, reserved, ask: { ...NO_AMOUNT, tokens: 2 } })).toEqual({
      ok: false,
      error: {
        code: 'budget.exhausted',
        message: 'tokens: 2 asked, 1 left of 10; open a run under a writ with a larger budget',
        dimension: 'tokens',
      },
    });
    expect(fitsBudget({ grant, settled: { ...NO_AMOUNT, calls: 5 }, reserved: NO_AMOUNT, ask: NO_AMOUNT })).toMatchObject({
      error: { message: 'calls: 0 asked, 0 left of 3; open a run under a writ with a larger budget' },
    });
    expect(NO_AMOUNT).toEqual({ tokens: 0, usdMicros: 0, calls: 0 });
  });
  test('an amount is within another where it exceeds it in no dimension', () => {
    expect(withinAmount(grant, grant)).toBe(true);
    expect(withinAmount(NO_AMOUNT, grant)).toBe(true);
    for (const dimension of ['tokens', 'usdMicros', 'calls'] as const)
      expect(withinAmount({ ...grant, [dimension]: grant[dimension] + 1 }, grant)).toBe(false);
  });
  test('the scope of a writ names what it does not cover', () => {
    const ask = { action: 'read_file', effect: 'read' as const, readPaths: ['a'], writePaths: [], hosts: [] };
    expect(scopeOf(writOf({ actions: [] }), ask)).toEqual({ ok: false, error: { dimension: 'action', value: 'read_file' } });
    expect(scopeOf(writOf({ ceiling: [] }), ask)).toEqual({ ok: false, error: { dimension: 'effect', value: 'read' } });
    expect(scopeOf(writOf({ readPaths: ['b'] }), ask)).toEqual({ ok: false, error: { dimension: 'readPaths', value: 'a' } });
  });
});

describe('paths and hosts', () => {
  test('a plain path has no empty, `.` or `..` step, no root and no NUL', () => {
    for (const path of ['', '.', '..', '/', '/a', 'a/', 'a//b', './a', '../a', 'a/.', 'a/..', 'a/./b', 'a/../b', 'a\0', 'a\0b', '\0'])
      expect([path, isPlainPath(path), matchPath('**', path)]).toEqual([path, false, false]);
    for (const path of ['a', '.a', '..a', '...', 'a/...', 'a.', 'a/b.c', 'a\nb', ' ', 'a/..b'])
      expect([path, isPlainPath(path)]).toEqual([path, true]);
  });
  test('a folder is itself and what is below it, never its namesakes', () => {
    expect(['src', 'src/a', 'src/a/b', 'srca', 'a/src'].map((path) => matchPath('src/**', path))).toEqual([true, true, true, false, false]);
    expect([matchPath('src', 'src'), matchPath('src', 'src/a'), matchPath('**', 'x')]).toEqual([true, false, true]);
    const covers = (child: string) => coversPath(['src/**', 'x'], child);
    expect(['src/**', 'src/a/**', 'src', 'src/a', 'x', '**', 'srcs/**', 'x/**', 'y'].map(covers)).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(coversPath(['**'], '**')).toBe(true);
  });
  test('a star stands for names below a domain, not for the domain, nothing, or another star', () => {
    const hosts = ['a.b.c:1', 'x.a.b.c:1', 'b.c:1', '.b.c:1', '*.b.c:1', 'ab.c:1', 'a.b.c:2'];
    expect(hosts.map((host) => matchHost('*.b.c:1', host))).toEqual([true, true, false, false, false, false, false]);
    expect([matchHost('b.c:1', 'b.c:1'), matchHost('b.c:1', 'a.b.c:1')]).toEqual([true, false]);
    const covers = (child: string) => coversHost(['*.b.c:1', 'd:1'], child);
    expect(['*.b.c:1', '*.a.b.c:1', 'a.b.c:1', 'd:1', '*.c:1', '*.d:1', 'b.c:1', '*.ab.c:1'].map(covers)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('actions', () => {
  test('are covered by a prefix as far as it goes', () => {
    const covers = (child: string) => coversAction(['run_*', 'read_file'], child);
    expect(
      ['run_*', 'run_tests', 'run_tests*', 'read_file', 'run_', 'run*', 'r*', '*', 'runx*', 'read_*', 'read_file*'].map(covers),
    ).toEqual([true, true, true, true, true, false, false, false, false, false, false]);
    expect([coversAction(['*'], '*'), coversAction(['*'], 'x'), coversAction([], 'x')]).toEqual([true, true, false]);
  });
});

test('what is signed is of one type each, for ever', () => {
  expect([bodyType('ledger.founded'), bodyType('key.trusted'), WRIT_TYPE, VOTE_TYPE]).toEqual([
    'application/vnd.openexec.founding.v1+json',
    'application/vnd.openexec.key.trusted.v1+json',
    'application/vnd.openexec.writ.v1+json',
    'application/vnd.openexec.vote.v1+json',
  ]);
});

describe('a writ', () => {
  test('is carved from where it is standing, or where a run may be narrowed from it', () => {
    const carved = (use: 'run' | 'standing', depth: number, maySubdivide: boolean) =>
      isCarved(writOf({ use, delegation: { depth, maySubdivide } }));
    expect([carved('standing', 0, false), carved('run', 1, true), carved('run', 0, true), carved('run', 1, false)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    const id = writId(writOf());
    expect(carveTrajectory(id)).toBe(`writ/${id.slice(7)}`);
  });
  test('signed once is found good again, also under a digest that is given, and bad again', () => {
    const { body, signatures } = signed(writOf(), 'issuer');
    const [signature] = signatures;
    if (signature === undefined) throw new Error('a signed writ has a signature');
    const claim = { type: WRIT_TYPE, body, publicKey: publicKey('issuer'), signature };
    const forged = { ...claim, signature: { ...signature, key: idOf('root') } };
    for (let turn = 0; turn < 2; turn++)
      expect([checkSignature(claim), checkSignature({ ...claim, digest: writId(body) }), checkSignature(forged)]).toEqual([
        true,
        true,
        false,
      ]);
  });
});

describe('a skill says', () => {
  const plain: Skill = {
    v: 1,
    name: 's',
    version: 1,
    title: '',
    instructions: 'Do {a_1} and {b}, not {A} or {1a}; {a_1}.',
    actions: null,
    ceiling: null,
    readPaths: null,
    writePaths: null,
    hosts: null,
    budget: { tokens: null, usdMicros: null, calls: null },
    wallMs: null,
    params: [],
  };
  const param = (key: string, preset: string | null, values: string[] = []) => ({ key, description: '', default: preset, values });
  const said = (skill: Skill, params: { [name: string]: string }) => {
    const text = renderSkill(skill, params);
    return text.ok ? text.value : `${text.error.code}: ${text.error.message}`;
  };
  test('what is wrong with its parameters, or its text with them in it', () => {
    const two = { ...plain, params: [param('a_1', 'x', ['x', 'y']), param('b', null)] };
    expect(said(two, { b: 'z' })).toBe('Do x and z, not {A} or {1a}; x.');
    expect(said(two, { b: '', a_1: 'y' })).toBe('Do y and , not {A} or {1a}; y.');
    expect(said(two, {})).toBe('skill.paramMissing: the parameter b has no default and no value');
    expect(said(two, { b: 'z', a_1: 'q' })).toBe('skill.paramValue: the parameter a_1 takes one of: x, y');
    expect(said(two, { b: 'z', c: 'q' })).toBe('skill.param: there is no parameter c');
    expect(said({ ...plain, params: [param('a', ''), param('a', '')] }, {})).toBe('skill.paramTwice: the parameter a stands twice');
    expect(said({ ...plain, params: [param('a', 'x', ['y'])] }, {})).toBe('skill.paramDefault: the default of a is none of its values');
    expect(skillProblem({ ...plain, params: [param('a', 'x'), param('b', null, ['y']), param('c', 'y', ['y'])] })).toBeNull();
  });
  test('nothing that a writ does not: the less of both', () => {
    const own = writOf({ actions: ['a', 'b'], ceiling: ['read', 'write'], budget: { tokens: 5, usdMicros: 5, calls: 5 }, wallMs: 5 });
    const narrow = {
      ...plain,
      actions: ['b', 'c'],
      ceiling: ['write' as const, 'external' as const],
      budget: { tokens: 1, usdMicros: 9, calls: null },
      wallMs: 2,
    };
    expect(narrowWrit(own, narrow)).toEqual({
      ...own,
      actions: ['b'],
      ceiling: ['write'],
      budget: { tokens: 1, usdMicros: 5, calls: 5 },
      wallMs: 2,
    });
    expect(narrowWrit(own, plain)).toEqual(own);
  });
});

test('what is taken from an amount is there, to the last, and else it is said what was not', () => {
  const three = { tokens: 3, usdMicros: 3, calls: 3 };
  expect(subtractAmount(three, three)).toEqual(NO_AMOUNT);
  expect(() => subtractAmount(three, { ...three, calls: 4 })).toThrow('cannot take 4 from 3 calls');
});
