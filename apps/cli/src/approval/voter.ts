/**
 * Which key of this person votes. Must never pick one whose vote could not count while another could, nor unlock a key before it was picked.
 */
import { type LawView, voterProblem } from '@openexec/authority';
import { type Instant, type KeyId, ok, type Result } from '@openexec/canon';
import type { KeyFile } from '@openexec/config';
import type { OpenRequest } from '@openexec/kernel';
import { type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keyFiles } from '../keyring.ts';

/** What a vote is held against. */
export interface Ballot {
  readonly request: OpenRequest;
  readonly opener: KeyId;
  readonly law: LawView;
  readonly at: Instant;
}

/** Why this key cannot vote here, or null. Key files hold checked ids. */
export function keyProblem(file: KeyFile, ballot: Ballot): string | null {
  const { request, opener, law, at } = ballot;
  const key = file.keyId as KeyId;
  if (request.votes.some((vote) => vote.key === key)) return `vote.twice: key ${key} has voted on this request already`;
  const problem = voterProblem({ key, assurance: file.assurance }, { terms: request.terms, law, at, opener });
  return problem === null ? null : `${problem.code}: ${problem.message}`;
}

/** The key that was named, or the first key here whose vote can count; the operator key before others. */
export function chooseVoter(folder: string, wanted: string | undefined, ballot: Ballot): Result<KeyFile, Refusal> {
  if (wanted !== undefined) {
    const named = findKeyFile(folder, wanted);
    if (!named.ok) return named;
    const problem = keyProblem(named.value, ballot);
    return problem === null ? named : refuse('approval.refused', `this vote would not count: ${problem}`);
  }
  const mine = keyFiles(folder).filter(({ roles }) => ballot.request.terms.roles.some((role) => roles.includes(role)));
  const files = [
    ...mine.filter(({ label }) => label === KEY_LABELS.operator),
    ...mine.filter(({ label }) => label !== KEY_LABELS.operator),
  ];
  const fit = files.find((file) => keyProblem(file, ballot) === null);
  if (fit !== undefined) return ok(fit);
  const why = files.map((file) => `${file.label}: ${keyProblem(file, ballot) ?? ''}`).join('; ');
  return refuse('approval.refused', `no key on this machine can vote on this request${why === '' ? '' : ` (${why})`}`);
}
