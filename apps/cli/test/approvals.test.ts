/**
 * Approvals end to end: parked runs that survive their process, the exact content shown, votes by keys from another process, denial, foreign keys.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Ended } from './cli.ts';
import { patchScripts, patchSum } from './place.ts';
import { inEachPlace, openexec, place, provider } from './scene.ts';

interface Waiting {
  readonly id: string;
  readonly run: string;
  readonly action: string;
  readonly content: string;
  readonly rule: { readonly layer: string; readonly rule: string } | null;
}

const TIME_MS = 240_000;

inEachPlace();

/** Runs until the change to package.json waits. */
async function parked(...more: readonly string[]): Promise<{ readonly ended: Ended; readonly request: string }> {
  provider.say({ calls: [patchSum('-', '+'), patchScripts()] });
  const ended = await openexec('run', 'Make sum add and give it a start script', '--json', ...more);
  return { ended, request: (JSON.parse(ended.stdout) as { request: string }).request };
}
async function waiting(): Promise<readonly Waiting[]> {
  return (JSON.parse((await openexec('approvals', '--json')).stdout) as { approvals: readonly Waiting[] }).approvals;
}

describe('an approval', () => {
  test(
    'parks the run with 11, shows the exact patch and rule, is given by another process, and the run goes on to its end',
    async () => {
      const { ended, request } = await parked();
      expect(ended.exit).toBe(11);
      expect(request).toMatch(/^sha256:/);
      const [first] = await waiting();
      expect(first).toMatchObject({ id: request, action: 'apply_patch', rule: { layer: 'shipped', rule: 'ask-auto-run' } });
      expect(first?.content).toContain('+  "scripts": { "test": "node --test", "start": "node sum.js" }');
      // Nothing has happened meanwhile: asking again to go on only finds the request still open.
      const early = await openexec('resume', 'latest', '--json');
      expect({ exit: early.exit, request: (JSON.parse(early.stdout) as { request: string }).request }).toEqual({ exit: 11, request });
      expect(provider.requests).toHaveLength(1);
      const approved = await openexec('approve', request.slice(7, 19), '--because', 'it is wanted', '--json');
      expect(approved.exit).toBe(0);
      const { resume } = JSON.parse(approved.stdout) as { resume: string };
      provider.say({ text: 'done' });
      const second = await openexec(...resume.split(' ').slice(1), '--json');
      // The landing of a file that runs by itself is a request of its own.
      expect(second.exit).toBe(11);
      const [landing] = await waiting();
      expect(landing).toMatchObject({ action: 'commit_changes', rule: { layer: 'shipped', rule: 'ask-commit' } });
      expect(landing?.content).toContain('"start": "node sum.js"');
      expect(landing?.content).toContain('-  return a - b;\n+  return a + b;');
      expect((await openexec('approve', landing?.id ?? '')).exit).toBe(0);
      const done = await openexec('resume', 'latest', '--json');
      expect(JSON.parse(done.stdout)).toMatchObject({ status: 'done', exit: 0 });
      expect((await openexec('verify', '--deep')).exit).toBe(0);
      expect(await waiting()).toEqual([]);
    },
    TIME_MS,
  );

  test(
    'that is denied at the landing ends the run with 12 and lands nothing',
    async () => {
      const { request } = await parked();
      expect((await openexec('approve', request)).exit).toBe(0);
      provider.say({ text: 'done' });
      const second = JSON.parse((await openexec('resume', 'latest', '--json')).stdout) as { request: string };
      expect((await openexec('deny', second.request)).exit).toBe(2);
      expect((await openexec('deny', second.request, '--because', 'no start script')).exit).toBe(0);
      const ended = await openexec('resume', 'latest', '--json');
      expect(ended.exit).toBe(12);
      expect(JSON.parse(ended.stdout)).toMatchObject({ because: { code: 'approval.denied', message: 'no start script' } });
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
    },
    TIME_MS,
  );

  test(
    'counts by a new approver key, not by one without the role, and not a second time',
    async () => {
      const made = await openexec('key', 'new', '--role', 'approver', '--label', 'alice', '--no-passphrase', '--json');
      expect(made.exit).toBe(0);
      const { keyId } = JSON.parse(made.stdout) as { keyId: string };
      expect((await openexec('key', 'new', '--role', 'issuer', '--label', 'bob')).exit).toBe(0);
      const { request } = await parked();
      const refused = await openexec('approve', request, '--key', 'bob', '--json');
      expect(refused.exit).toBe(12);
      expect(refused.stdout).toContain('approval.refused');
      expect((await openexec('approve', request, '--key', 'runtime')).exit).toBe(12);
      const approved = await openexec('approve', request, '--key', 'alice', '--json');
      expect(JSON.parse(approved.stdout)).toMatchObject({ key: keyId, decision: 'approve' });
      const listed = await openexec('key', 'list', '--json');
      expect((JSON.parse(listed.stdout) as { keys: readonly object[] }).keys).toContainEqual(
        expect.objectContaining({ keyId, roles: ['approver'], label: 'alice', assurance: 'file', state: 'in force' }),
      );
      provider.say({ text: 'done' });
      expect((await openexec('resume', 'latest', '--json')).exit).toBe(11);
      const used = await openexec('approve', request, '--key', 'alice', '--json');
      expect({ exit: used.exit, said: used.stdout.includes('approval.unknown') }).toEqual({ exit: 2, said: true });
      const file = join(
        place.state,
        (JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { fingerprint: string }).fingerprint.slice(7, 39),
        'keys/alice.key',
      );
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const { seed } = JSON.parse(readFileSync(file, 'utf8')) as { seed: string };
      expect(made.stdout + made.stderr + listed.stdout).not.toContain(seed);
    },
    TIME_MS,
  );

  test(
    'is not asked for under --approve never: what needs one is refused, and the model is told',
    async () => {
      provider.say({ calls: [patchScripts()] }, { text: 'then not' });
      const ended = await openexec('run', 'Give it a start script', '--approve', 'never', '--json');
      expect(ended.exit).not.toBe(11);
      expect(await waiting()).toEqual([]);
      expect(JSON.stringify(provider.requests[1]?.messages)).toMatch(/approval/);
    },
    TIME_MS,
  );
});
