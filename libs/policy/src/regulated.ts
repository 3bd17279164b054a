/**
 * The policy that ships for regulated work: what `solo` asks one person for, two others are asked for, who hold their keys under a passphrase; every
 * landing is asked, and no action but the model's own reaches the network. Must never permit what `solo` does not. PROTOCOL §6, MECHANICS part 2.
 */

import type { ApprovalTerms, PolicyBundle, PolicyRule } from '@openexec/protocol';
import { SOLO } from './shipped.ts';

/** Two who did not open the run. */
const TWO_OTHERS: ApprovalTerms = {
  roles: ['approver'],
  quorum: 2,
  ttlMs: 86_400_000,
  minAssurance: 'passphrase',
  openerMayApprove: false,
};
/** Every landing asks here, so that no permit and no narrower question is left of it. */
const REPLACED: readonly string[] = ['ask-commit', 'permit-commit'];

const NO_NETWORK: PolicyRule = {
  id: 'deny-network',
  when: {
    all: [
      { field: 'action.name', op: 'ne', value: 'model.ask' },
      {
        any: [
          { field: 'hosts.0', op: 'exists', value: true },
          {
            all: [
              { field: 'action.name', op: 'ne', value: 'commit_changes' },
              { field: 'action.effect', op: 'in', value: ['external', 'irreversible'] },
            ],
          },
        ],
      },
    ],
  },
  decide: 'deny',
  because: 'nothing but the question to the model leaves the machine',
  examples: {
    match: [
      { action: { name: 'http_get', effect: 'external' }, hosts: ['example.org:443'] },
      { action: { name: 'publish', effect: 'irreversible' }, hosts: [] },
    ],
    noMatch: [
      { action: { name: 'model.ask', effect: 'external' }, hosts: ['model.example.org:443'] },
      { action: { name: 'commit_changes', effect: 'external' }, hosts: [] },
      { action: { name: 'run_tests', effect: 'write' }, hosts: [] },
    ],
  },
};
const EVERY_COMMIT: PolicyRule = {
  id: 'ask-every-commit',
  when: { field: 'action.name', op: 'eq', value: 'commit_changes' },
  decide: { approve: TWO_OTHERS },
  because: 'two people who did not open the run look at every result before it lands',
  examples: {
    match: [{ action: { name: 'commit_changes', effect: 'external' }, change: { paths: ['src/a.ts'], autoRun: false } }],
    noMatch: [{ action: { name: 'apply_patch', effect: 'write' } }],
  },
};

/** `regulated`: two approvers who did not open the run, their keys under a passphrase, no network. */
export const REGULATED: PolicyBundle = {
  version: 1,
  name: 'regulated',
  rules: [
    NO_NETWORK,
    EVERY_COMMIT,
    ...SOLO.rules
      .filter(({ id }) => !REPLACED.includes(id))
      .map((rule) => (typeof rule.decide === 'string' ? rule : { ...rule, decide: { approve: TWO_OTHERS } })),
  ],
};
