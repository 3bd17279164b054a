/**
 * The words of the command: exit codes, the table of refusals, what may reach a terminal, when colour is used.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EXIT, REFUSALS, refusalFor } from '../src/exit.ts';
import { createOutput, type Output, safe, safeLine, wantsColour } from '../src/output.ts';
import { exitOfClosed } from '../src/run/finish.ts';

/** Output that takes any document: what is proven of it here holds for every one. */
interface AnyDocument extends Omit<Output, 'json' | 'jsonLine'> {
  json(name: string, document: unknown): void;
  jsonLine(name: string, document: unknown): void;
}

describe('exit codes', () => {
  const ends: readonly (readonly [string, string, number])[] = [
    ['done', 'run.done', 0],
    ['failed', 'check.failed', 1],
    ['failed', 'visits.exhausted', 1],
    ['failed', 'model.refused', 1],
    ['failed', 'model.truncated', 1],
    ['denied', 'policy.denied', 10],
    ['denied', 'writ.revoked', 10],
    ['denied', 'approval.denied', 12],
    ['failed', 'approval.expired', 12],
    ['exhausted', 'budget.exhausted', 13],
    ['failed', 'sandbox.unavailable', 14],
    ['failed', 'model.unauthorized', 30],
    ['failed', 'model.rateLimited', 30],
    ['failed', 'model.malformed', 30],
    ['failed', 'model.timeout', 30],
    ['exhausted', 'wall.exhausted', 124],
    ['failed', 'action.timeout', 124],
    ['cancelled', 'run.cancelled', 130],
  ];
  test.each(ends)('%s because of %s ends with its own code', (outcome, code, exit) => {
    expect(exitOfClosed(outcome, { code, message: '' })).toBe(exit);
  });

  test('no outcome but done is 0, whatever the reason says', () => {
    fc.assert(
      fc.property(fc.constantFrom('failed', 'denied', 'exhausted', 'cancelled', 'unheard'), fc.string(), (outcome, code) => {
        expect(exitOfClosed(outcome, { code, message: '' })).not.toBe(0);
      }),
    );
  });

  test('every refusal has a code of the list other than 0, a place and a remedy', () => {
    const known: readonly number[] = Object.values(EXIT).filter((exit) => exit !== EXIT.ok);
    const rows: readonly (readonly [string, { readonly exit: number; readonly where: string; readonly remedy: string }])[] =
      Object.entries(REFUSALS);
    for (const [code, { exit, where, remedy }] of rows) {
      expect({ code, known: known.includes(exit), told: where.length > 2 && remedy.length > 2 }).toEqual({ code, known: true, told: true });
    }
    expect(refusalFor({ code: 'workspace.dirty', message: 'm' }, 'workspace.failed').code).toBe('workspace.dirty');
    expect(refusalFor({ code: 'toString', message: 'm' }, 'workspace.failed').code).toBe('workspace.failed');
  });
});

describe('text from outside', () => {
  test('cannot steer a terminal through JSON either, which stays the same document', () => {
    let written = '';
    const sink = { write: (text: string) => (written += text) };
    const output: AnyDocument = createOutput({ stdout: sink, stderr: sink, env: {} });
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        written = '';
        output.json('any', { [text]: text, list: [text] });
        expect(written.replaceAll('\n', '')).toBe(safe(written).replaceAll('\n', ''));
        expect(JSON.parse(written)).toEqual({ [text]: text, list: [text] });
      }),
    );
  });

  test('cannot steer a terminal: no control, bidirectional or invisible character is left', () => {
    const hostile = fc.string({ unit: 'binary', maxLength: 60 });
    fc.assert(
      fc.property(hostile, (text) => {
        expect(safe(text)).not.toMatch(
          /(?![\n\t])[\p{Cc}\p{Cs}]|[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\u{e0000}-\u{e007f}]/u,
        );
        expect(safeLine(text)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
      { numRuns: 500 },
    );
    expect(safe('\u001b]0;owned\u0007\u202e\r')).toBe('\\u{1b}]0;owned\\u{7}\\u{202e}\\u{d}');
    expect(safe('ä ≤ 漢 👍\n\tx')).toBe('ä ≤ 漢 👍\n\tx');
    expect(safeLine('x'.repeat(500), 10)).toBe(`${'x'.repeat(10)}…`);
  });
});

describe('JSON output', () => {
  test('is the same value with nothing left that could steer a terminal', () => {
    let said = '';
    const sink = { write: (text: string) => (said += text) };
    const output: AnyDocument = createOutput({ stdout: sink, stderr: sink, env: {} });
    const value = fc.record({
      key: fc.string({ unit: 'binary', maxLength: 40 }),
      n: fc.integer(),
      list: fc.array(fc.string({ unit: 'grapheme' })),
    });
    fc.assert(
      fc.property(value, fc.boolean(), (document, line) => {
        said = '';
        if (line) output.jsonLine('any', { ...document, [document.key]: 1 });
        else output.json('any', { ...document, [document.key]: 1 });
        expect(said).not.toMatch(/(?![\n])[\p{Cc}\p{Cs}]|[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\u{e0000}-\u{e007f}]/u);
        expect(said.indexOf('\n') === said.length - 1).toBe(line);
        expect(JSON.parse(said)).toEqual({ ...document, [document.key]: 1 });
      }),
      { numRuns: 500 },
    );
    said = '';
    output.jsonLine('any', { name: 'a\u202eb\u200b\u009b31m\u{e0041}' });
    expect(said).toBe('{"name":"a\\u202eb\\u200b\\u009b31m\\udb40\\udc41"}\n');
  });
});

describe('output', () => {
  test('is coloured on a terminal only, NO_COLOR wins over all, FORCE_COLOR over the stream', () => {
    const terminal = { write: () => true, isTTY: true };
    const pipe = { write: () => true, isTTY: false };
    expect(wantsColour({}, terminal)).toBe(true);
    expect(wantsColour({}, pipe)).toBe(false);
    expect(wantsColour({ TERM: 'dumb' }, terminal)).toBe(false);
    expect(wantsColour({ NO_COLOR: '1', FORCE_COLOR: '1' }, terminal)).toBe(false);
    expect(wantsColour({ FORCE_COLOR: '1' }, pipe)).toBe(true);
    expect(wantsColour({ FORCE_COLOR: '0' }, terminal)).toBe(false);
  });

  test('puts results on stdout and progress on stderr, and says numbers that are too large as text', () => {
    const said = { out: '', err: '' };
    const output: AnyDocument = createOutput({
      stdout: { write: (text) => (said.out += text) },
      stderr: { write: (text) => (said.err += text) },
      env: {},
    });
    output.result('r');
    output.json('any', { n: 2n ** 60n });
    output.jsonLine('any', { a: 1 });
    output.progress('p');
    output.warn('w');
    expect(said).toEqual({ out: 'r\n{\n  "n": "1152921504606846976"\n}\n{"a":1}\n', err: 'p\nwarning: w\n' });
  });
});
