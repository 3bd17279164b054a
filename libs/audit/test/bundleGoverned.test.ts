/**
 * When a bundle may call a run governed: under a passed self-test of its ground, with every effect declared, and over. Neither the builder nor whoever
 * holds the log key can say more. PROTOCOL §§4.2, 11.
 */
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import { House, ONE_AGENT, ONE_CHECK, PEOPLE, RunDriver } from '@openexec/kernel/fixture';
import { EVENTS, STATEMENT } from '@openexec/verify';
import { byLog, type Claims, found, indexOf, lineOf, linesIn, placed, runCiting, selfTest, statementOf } from './bundleForger.ts';
import { bundleOf, RUNS } from './bundles.ts';

describe('governed', () => {
  const stated = async (claims: Claims | null, more: { readonly pass?: number; readonly seq?: number } = {}) => {
    const place = await House.found();
    const first = await RunDriver.open(place, { blueprint: ONE_CHECK });
    await first.play({ tests: [true] });
    const made = claims === null ? null : await selfTest(place, first.opened.body, claims);
    place.pass(more.pass ?? 0);
    const cited = made === null ? null : { ...made, seq: more.seq ?? made.seq };
    const driver = await runCiting(place, cited, { blueprint: ONE_CHECK });
    const { files, built } = await bundleOf(place, RUNS(driver.run));
    return { place, driver, files, built: built.statement.runs.map(({ governed }) => governed) };
  };

  test('is a run that cites a passed self-test of its ground, and the bundle proves it', async () => {
    const { files, built, place, driver } = await stated({});
    expect([built, await found(files)]).toEqual([[true], []]);
    await bundleOf(place, RUNS(driver.run), { governed: true });
  });

  test.each<readonly [string, Claims | null, { pass?: number; seq?: number }]>([
    ['cites none', null, {}],
    ['cites one that failed', { passed: false }, {}],
    ['cites one that had expired', {}, { pass: 90_000_000 }],
    ['cites one under other rules', { policySet: digestOf('other rules') }, {}],
    ['cites another entry of it than its verdict', {}, { seq: 0 }],
  ])('is no run that %s: neither the builder nor a statement signed by the log key makes it one', async (_, claims, more) => {
    const { files, built, place, driver } = await stated(claims, more);
    expect([built, await found(files)]).toEqual([[false], []]);
    await expect(bundleOf(place, RUNS(driver.run), { governed: true })).rejects.toThrow(/^bundle\.ungoverned/);
    const runs = statementOf(files).runs.map((each) => ({ ...each, governed: true }));
    expect(await found(byLog(files, { runs }))).toEqual([`statement.wrong ${STATEMENT}`]);
  });

  test('is no run whose self-test somebody else signed: the bundle is not sound, and the entry is named', async () => {
    const { files } = await stated({ signer: PEOPLE.stranger.seed });
    const at = lineOf(linesIn(files), 'selfTest.recorded');
    expect(await placed(files)).toEqual([`selfTest.signature ${EVENTS} ${indexOf(linesIn(files), at)}`]);
  });

  test('is no run that is still open: what it does next may be undeclared', async () => {
    const place = await House.found();
    const first = await RunDriver.open(place, { blueprint: ONE_AGENT });
    const cited = await selfTest(place, first.opened.body);
    const driver = await RunDriver.open(place, { blueprint: ONE_AGENT, alter: (opened) => ({ ...opened, selfTest: cited }) });
    const { built } = await bundleOf(place, RUNS(driver.run));
    expect(built.statement.runs).toMatchObject([{ outcome: 'open', governed: false }]);
  });

  test('may be left unsaid', async () => {
    const { files } = await stated({});
    const runs = statementOf(files).runs.map((each) => ({ ...each, governed: false }));
    expect(await found(byLog(files, { runs }))).toEqual([]);
  });
});
