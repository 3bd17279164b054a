/**
 * What a reader sees of hostile text, and that every command shows an example.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { canonicalBytes, type Json } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import { createOutput } from '../src/output.ts';
import { readEvent } from '../src/read/events.ts';
import { Narrator } from '../src/read/narrator.ts';
import { wishText } from '../src/read/wish.ts';
import { type Bundle, buildBundle } from './cli.ts';

/** Clears the screen, turns the text around, hides, and ends the line. */
const HOSTILE = 'a\u001b[2Jb\u202ec\u200bd\r\ne';
const STEERING = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e]/;
const ID = `sha256:${'1'.repeat(64)}`;

function stored(kind: string, body: Json): Stored {
  // The narrator reads kind, seq, at and payload; the rest of an entry is the store's.
  return { index: 0n, entry: { kind, seq: 0, at: '2026-01-02T03:04:05.678Z' }, payload: canonicalBytes(body) } as unknown as Stored;
}

describe('hostile text', () => {
  test('in the arguments of a wish is escaped and stays on one line', () => {
    for (const args of [{ path: HOSTILE }, { patch: `--- a/${HOSTILE}\n+++ b/x\n` }, { url: HOSTILE.repeat(1000) }]) {
      const text = wishText(HOSTILE, args);
      expect(text).not.toMatch(STEERING);
      expect(text).not.toContain('\n');
      expect(text.length).toBeLessThan(1500);
    }
  });

  test.each<readonly [string, Json]>([
    ['fact.noted', { why: 'a.b', message: HOSTILE, violation: true }],
    ['run.cancelRequested', { because: HOSTILE }],
    ['proposal.rejected', { proposal: ID, intent: ID, at: 'approval', because: { code: 'a.b', message: HOSTILE }, rule: null }],
    [
      'intent.declared',
      {
        intent: ID,
        author: 'model',
        stage: 'a',
        visit: 1,
        action: HOSTILE,
        arguments: { inline: { path: HOSTILE } },
        malformed: null,
        claims: { rationale: HOSTILE, claimedRisk: null },
        call: HOSTILE,
      },
    ],
    [
      'effect.undeclared',
      { driver: '0'.repeat(32), epoch: 1, execution: ID, paths: [HOSTILE], because: { code: 'a.b', message: HOSTILE } },
    ],
  ])('in %s is escaped in its line', (kind, body) => {
    const { style } = createOutput({ stdout: { write: () => true }, stderr: { write: () => true }, env: { NO_COLOR: '1' } });
    const read = readEvent(stored(kind, body));
    expect(read.event).not.toBeNull();
    const line = new Narrator().line(read, style);
    expect(line).not.toMatch(STEERING);
    expect(line).not.toContain('\n');
  });
});

describe('what cannot be read', () => {
  test('an erased payload and a body that is not of its kind are said to be that, never guessed', () => {
    const narrator = new Narrator();
    expect(narrator.tell(readEvent({ ...stored('run.closed', {}), payload: null }))).toMatchObject({
      tone: 'bad',
      text: expect.stringContaining('erased'),
    });
    expect(narrator.tell(readEvent(stored('run.closed', { outcome: 'done' })))).toMatchObject({
      tone: 'bad',
      text: expect.stringContaining('not of its schema'),
    });
  });
});

describe('the help', () => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await buildBundle();
  });
  afterAll(() => bundle.remove());

  const LEDGER = ['info', 'read', 'checkpoint', 'prove', 'consistency'].map((name) => ['ledger', name]);
  test.each([['demo'], ['runs'], ['show'], ['timeline'], ['verify'], ['replay'], ['ledger'], ...LEDGER])(
    'of %s %s has an example',
    async (...words) => {
      const { exit, stdout } = await bundle.run([...words, '--help'], { cwd: '/' });
      expect(exit).toBe(0);
      expect(stdout).toMatch(new RegExp(`Examples?:\\n {2}openexec ${words.join(' ')}`));
    },
  );
});
