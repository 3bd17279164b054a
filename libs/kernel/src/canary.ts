/**
 * What the judge says of the facts of a self-test. Must never start anything (PROTOCOL §4.2 `selftest/…`).
 */
import { inlineOrParsed } from './blobs.ts';
import { inlineOrBlob, judgement, nextId } from './emit.ts';
import { currentIntent } from './foldFact.ts';
import { stepIntent } from './intent.ts';
import { type Pen, write } from './pen.ts';

/** What follows from a fact of a self-test by itself. */
export function reactToCanary(pen: Pen): void {
  const fact = pen.state.fact?.event;
  if (fact?.kind === 'selfTest.opened') {
    const problem = pen.state.lawProblem;
    const said = problem ?? { code: 'selfTest.opened', message: `${fact.body.canaries.length} canaries are to be judged` };
    return write(pen, judgement('fact.noted', { why: said.code, message: said.message, violation: problem !== null }));
  }
  if (fact?.kind !== 'intent.submitted') return;
  const { action, claims } = fact.body;
  const held = inlineOrBlob(inlineOrParsed(fact.body.arguments, fact.blobs));
  const intent = nextId(pen.state, 'intent');
  const author = 'canary' as const;
  const body = { intent, author, stage: null, visit: 0, action, arguments: held.value, malformed: null, claims, call: null };
  write(pen, judgement('intent.declared', body, held.blobs));
}

/** A canary is compiled once, and again where somebody let it pass an approval; staged, it stays where it is. */
export function advanceCanary(pen: Pen): boolean {
  const intent = pen.state.stage === null ? undefined : currentIntent(pen.state.stage);
  if (intent === undefined || (intent.phase !== 'declared' && intent.phase !== 'resolved')) return false;
  return stepIntent(pen, intent);
}
