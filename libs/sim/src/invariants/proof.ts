/**
 * Invariants 4, 5 and 6, by the production verifiers: every byte under the hash and every entry under the tree, every judgement one that the kernel
 * makes again, and nothing of what was acknowledged lost or half there. ARCHITECTURE §7, PROTOCOL §10.
 */
import { type Digest, toHex } from '@openexec/canon';
import type { DeepPass } from '@openexec/audit';
import { LedgerVerification } from '@openexec/verify';
import { type Checker, placeOf } from '../moment.ts';

/** 4: every byte is under the hash, every entry under the tree, and the tree is the one that the store names. */
export function underTheTree(): Checker {
  const verification = new LedgerVerification({ checkpoints: [], head: null });
  let reported = 0;
  return {
    invariant: 4,
    name: 'every byte is under the hash, every entry under the tree',
    see(moment, tell) {
      if (moment.what === 'entry') verification.take(moment.stored);
      for (const { index, code, message } of verification.findings.slice(reported)) tell(`entry ${index}: ${code}: ${message}`);
      reported = verification.findings.length;
      if (moment.what !== 'head') return;
      if (moment.size !== BigInt(verification.entries)) tell(`the store says ${moment.size} entries, ${verification.entries} were read`);
      else if (toHex(moment.root) !== toHex(verification.root)) tell(`at ${moment.size} entries the store names another root`);
    },
  };
}

/** 5: no judgement that the kernel would not make again. The pass is shared with the watch, which feeds it. */
export function judgedAgain(pass: DeepPass): Checker {
  let divergences = 0;
  let faults = 0;
  return {
    invariant: 5,
    name: 'every judgement is the one that the kernel makes again',
    see(moment, tell) {
      if (moment.what !== 'entry') return;
      const now = pass.progress.divergences;
      if (now > divergences) tell(`${placeOf(moment.stored)}: ${now - divergences} judgements differ here`);
      divergences = now;
      for (const { index, code, message } of pass.lawProblems.slice(faults)) tell(`entry ${index} is no law: ${code}: ${message}`);
      faults = pass.lawProblems.length;
      if (moment.kind === 'fact.noted' && moment.body.violation)
        tell(`${placeOf(moment.stored)}: a fact answers nothing open: ${moment.body.why}: ${moment.body.message}`);
    },
  };
}

/** 6: what was acknowledged stays as it was, and of what was handed in nothing stands half. */
export function nothingLost(): Checker {
  const acknowledged = new Map<bigint, Digest>();
  const batchOf = new Map<bigint, number>();
  const sizes: number[] = [];
  const stored = new Map<bigint, Digest>();
  return {
    invariant: 6,
    name: 'nothing acknowledged is lost, nothing is half written',
    see(moment, tell) {
      if (moment.what === 'handed') {
        if (moment.told) for (const { index, leaf } of moment.stored) acknowledged.set(index, leaf);
        if (moment.outcome === 'appended') {
          if (moment.stored.length !== moment.drafts) tell(`${moment.stored.length} of ${moment.drafts} entries of a batch were stored`);
          for (const { index } of moment.stored) batchOf.set(index, sizes.length);
          sizes.push(moment.drafts);
        }
      }
      if (moment.what === 'entry') stored.set(moment.stored.index, moment.stored.leaf);
      if (moment.what === 'head') {
        for (const [index, leaf] of acknowledged) {
          if (stored.get(index) !== leaf) tell(`entry ${index} was acknowledged and is ${stored.has(index) ? 'another' : 'not there'}`);
          acknowledged.delete(index);
        }
        for (let index = moment.size - 1n; index >= 0n && !batchOf.has(index); index--)
          tell(`entry ${index} belongs to no batch that was taken`);
      }
      if (moment.what !== 'reread') return;
      for (const { index, leaf } of moment.entries) {
        if (stored.get(index) !== leaf) tell(`entry ${index} changed after it was written`);
        const batch = batchOf.get(index);
        if (batch === undefined) tell(`entry ${index} belongs to no batch that was taken`);
        else sizes[batch] = (sizes[batch] ?? 0) - 1;
      }
      for (const [batch, left] of sizes.entries()) if (left !== 0) tell(`batch ${batch} lacks ${left} of its entries`);
      if (moment.entries.length !== stored.size) tell(`${stored.size} entries were there, ${moment.entries.length} are`);
    },
  };
}
