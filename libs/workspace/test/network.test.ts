/**
 * Attempts on the network, seen from outside without any privilege: whatever wants to leave is counted, whatever stays on the loopback is not.
 * PROTOCOL §9, SECURITY A31–A33; as root and as an ordinary user.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { NetworkCounters } from '../src/network.ts';
import { bundle, THROWAWAY_ID } from './bundle.ts';
import { cleanUp, temporary } from './harness.ts';
import { PROBES } from './networkProbes.ts';

interface Answer {
  readonly name: string;
  readonly network?: { readonly attempts: number | null; readonly ipv4: number; readonly ipv6: number };
  readonly stopped?: string;
  readonly out?: string;
  readonly problem?: string;
}
const asRoot = process.getuid?.() === 0;
const hasPython = spawnSync('/usr/bin/env', ['-i', 'PATH=/usr/local/bin:/usr/bin:/bin', 'python3', '-c', '1']).status === 0;
const probes = PROBES.filter(({ argv }) => argv[0] !== 'python3' || hasPython);
afterAll(cleanUp);

describe.each(asRoot ? ['root', 'an ordinary user'] : ['an ordinary user'])('as %s', (who) => {
  let answers: readonly Answer[] = [];
  beforeAll(() => {
    const program = bundle('network-driver', temporary('net'));
    const ids = asRoot && who !== 'root' ? { uid: THROWAWAY_ID, gid: THROWAWAY_ID } : {};
    const ran = spawnSync(process.execPath, [program], {
      cwd: '/',
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      encoding: 'utf8',
      ...ids,
    });
    if (ran.status !== 0) throw new Error(`the driver ended with ${ran.status}: ${ran.stderr}`);
    answers = (JSON.parse(ran.stdout) as { readonly answers: readonly Answer[] }).answers;
  });

  test.each(probes.map((probe) => [probe.name, probe.counts, probe] as const))('%s counts %s', (name, counts, probe) => {
    const answer = answers.find((each) => each.name === name);
    expect({
      problem: answer?.problem,
      says: answer?.out?.includes(probe.says),
      out: answer?.out?.includes(probe.says) === true ? '' : answer?.out,
    }).toEqual({
      problem: undefined,
      says: true,
      out: '',
    });
    const seen = answer?.network ?? { attempts: null, ipv4: -1, ipv6: -1 };
    expect(seen.attempts).toBe(seen.ipv4 + seen.ipv6);
    expect({ ipv4: seen.ipv4 > 0, ipv6: seen.ipv6 > 0 }).toEqual({ ipv4: counts === 'ipv4', ipv6: counts === 'ipv6' });
  });

  test('what is killed at its deadline is counted all the same', () => {
    const killed = answers.find(({ stopped }) => stopped === 'deadline');
    expect(killed?.network?.attempts).toBeGreaterThan(0);
  });
});

describe('counters', () => {
  test('of a process that is not there are none, which is told apart from a count of nothing', () => {
    expect(NetworkCounters.open(2 ** 30)).toBeNull();
  });

  test('of this very namespace are read again and again, and let go', () => {
    const counters = NetworkCounters.open(process.pid);
    expect(counters?.taken()).toEqual({ ipv4: expect.any(Number), ipv6: expect.any(Number) });
    counters?.close();
    expect(counters?.taken()).toBeNull();
  });
});
