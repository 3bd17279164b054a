import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadline } from '../src/deadline.js';
import { parseDuration } from '../src/duration.js';

test('a number with a unit', () => {
  assert.equal(parseDuration('90s'), 90);
  assert.equal(parseDuration('2d'), 172_800);
});

test('units add up', () => {
  assert.equal(parseDuration('1h30m'), 5400);
});

test('fractions count', () => {
  assert.equal(parseDuration('1.5h'), 5400);
  assert.equal(deadline(0, '0.5s'), 500);
});

test('anything else is refused', () => {
  for (const text of ['', 'soon', '5', '-5m', '1h banana', '1.5.5h']) {
    assert.throws(() => parseDuration(text), RangeError, JSON.stringify(text));
  }
});
