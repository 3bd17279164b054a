/**
 * The contract of {@link LedgerStore} as tests: every store runs this one suite, and after every step the whole ledger is verified.
 * STYLE §10 habits 11 and 16; PROTOCOL §3.
 */
import { appendRules } from './contract/appendRules.ts';
import type { ContractSubject, TestGlobals } from './contract/harness.ts';
import { judgementRules } from './contract/judgementRules.ts';
import { readingRules } from './contract/readingRules.ts';
import { repeatRules } from './contract/repeatRules.ts';

export * as fixtures from './contract/fixture.ts';
export * as keeping from './contract/keeperRules.ts';
export { type KeeperSubject, ledgerKeeperContract } from './contract/keeperRules.ts';
export { snapshotShelfContract } from './contract/snapshotRules.ts';
export type { ContractSubject, TestGlobals } from './contract/harness.ts';

/** Declares the suite for one kind of store. */
export function ledgerStoreContract(globals: TestGlobals, subject: ContractSubject): void {
  globals.describe(`the ledger contract on ${subject.name}`, () => {
    appendRules(globals, subject);
    judgementRules(globals, subject);
    repeatRules(globals, subject);
    readingRules(globals, subject);
  });
}
