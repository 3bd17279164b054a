/** The adapters that live in the command: clock, chance and the approver that holds a key, each over the contract suite of its port. */

import { describe, expect, test } from '@jest/globals';
import { digestOf, toHex } from '@openexec/canon';
import { clockContract, randomnessContract } from '@openexec/canon/contract';
import { memoryLedger } from '@openexec/ledger';
import { keyIdOf, publicKeyOf } from '@openexec/proof';
import { keyedApprover } from '../src/approval/keyed.ts';
import { createSurroundings } from '../src/surroundings.ts';
import { approverContract } from './approver.contract.ts';

const { clock, randomness } = createSurroundings({ env: {}, cwd: '/', assets: '/' });

clockContract({ describe, test, expect }, 'the clock of this machine', () => clock);
randomnessContract({ describe, test, expect }, 'the chance of this machine', () => randomness);
approverContract('an approver that holds a key', async (said) => {
  const seed = new Uint8Array(32).fill(7);
  const publicKey = publicKeyOf(seed);
  const ledger = digestOf('ledger');
  const key = {
    label: 'test',
    roles: ['approver'],
    keyId: keyIdOf(publicKey),
    publicKey: toHex(publicKey),
    assurance: 'file',
    seed,
  } as unknown as Parameters<typeof keyedApprover>[1]['key'];
  const store = memoryLedger({ randomness });
  const approver = keyedApprover({ randomness }, { key, ledger, store, root: '/', because: 'as told' }, async () => said);
  return { approver, ledger, publicKey: toHex(publicKey) };
});
