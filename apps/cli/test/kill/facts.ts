/**
 * What must hold in the ledger of a run that was killed and resumed, from its entries alone: an end for every wish, effects at most once, one driver
 * at a time. Pure, and told of everything that is wrong. PROTOCOL §§3, 4.4; GOALS E06.
 */
import type { Digest } from '@openexec/canon';
import { builtinActions } from '@openexec/catalogue';
import type { KnownEvent } from '../../src/read/events.ts';

/** One entry of the run, in order. The verifier has held each body against the schema of its kind before. */
export type RunFact = KnownEvent & { readonly seq: number };
/** A broken rule. `doubled` marks those that mean that an effect took place more than once. */
export interface Broken {
  readonly doubled: boolean;
  readonly message: string;
}

type Of<K extends KnownEvent['kind']> = Extract<RunFact, { kind: K }>;

/** Everything wrong with the run; `resumes` is how many processes took it over. */
export function brokenIn(facts: readonly RunFact[], resumes: number): readonly Broken[] {
  return [...frame(facts), ...drivers(facts, resumes), ...intents(facts), ...executions(facts), ...asks(facts)];
}

function of<K extends KnownEvent['kind']>(facts: readonly RunFact[], kind: K): readonly Of<K>[] {
  return facts.filter((fact): fact is Of<K> => fact.kind === kind);
}

function broken(message: string): Broken {
  return { doubled: false, message };
}

function frame(facts: readonly RunFact[]): readonly Broken[] {
  const found: Broken[] = [];
  if (facts[0]?.kind !== 'run.opened' || of(facts, 'run.opened').length !== 1)
    found.push(broken('run.opened does not stand exactly once, first'));
  if (facts.at(-1)?.kind !== 'run.closed' || of(facts, 'run.closed').length !== 1)
    found.push(broken('run.closed does not stand exactly once, last'));
  if (facts.some(({ seq }, at) => seq !== at)) found.push(broken('the positions of the run have a gap'));
  return found;
}

/** Each takeover is one epoch more, by a process of its own; every fact of a driver carries the epoch in force. */
function drivers(facts: readonly RunFact[], resumes: number): readonly Broken[] {
  const found: Broken[] = [];
  let [epoch, driver] = [1, ''];
  for (const fact of facts) {
    const { body } = fact;
    if (fact.kind === 'run.resumed') {
      if (fact.body.epoch !== epoch + 1) found.push(broken(`run.resumed at ${fact.seq} has epoch ${fact.body.epoch} after ${epoch}`));
      epoch = fact.body.epoch;
    }
    if (fact.kind === 'run.opened' || fact.kind === 'run.resumed') driver = fact.body.driver;
    else if ('driver' in body && 'epoch' in body && (body.driver !== driver || body.epoch !== epoch))
      found.push(broken(`${fact.kind} at ${fact.seq} is of a driver that was not in force`));
  }
  if (epoch - 1 > resumes) found.push(broken(`${epoch - 1} takeovers by ${resumes} processes`));
  return found;
}

/** Each declared intent ends exactly once: rejected, committed, lost, failed or undeclared; each staged proposal likewise. */
function intents(facts: readonly RunFact[]): readonly Broken[] {
  const intentOf = new Map(of(facts, 'proposal.staged').map(({ body }) => [body.proposal, body.intent]));
  const proposalOf = new Map(of(facts, 'execution.started').map(({ body }) => [body.execution, body.proposal] as const));
  const intentOfExecution = (execution: Digest): Digest | undefined => {
    const proposal = proposalOf.get(execution);
    return proposal === undefined ? undefined : intentOf.get(proposal);
  };
  const replaced = new Set(of(facts, 'execution.started').flatMap(({ body }) => body.replaces ?? []));
  const ends = new Map<string, number>();
  const end = (intent: string | undefined): void => void ends.set(intent ?? 'nothing', (ends.get(intent ?? 'nothing') ?? 0) + 1);
  for (const { kind, body } of facts) {
    if (kind === 'proposal.rejected') end(body.intent);
    if (kind === 'commit.recorded') end(intentOf.get(body.proposal));
    if ((kind === 'execution.lost' || kind === 'execution.failed' || kind === 'effect.undeclared') && !replaced.has(body.execution))
      end(intentOfExecution(body.execution));
  }
  const declared = of(facts, 'intent.declared').map(({ body }) => body.intent);
  const wrong = declared
    .filter((intent) => ends.get(intent) !== 1)
    .map((intent) => broken(`the intent ${intent} has ${ends.get(intent) ?? 0} ends`));
  const strange = [...ends.keys()]
    .filter((intent) => !declared.includes(intent as (typeof declared)[number]))
    .map((intent) => broken(`an end belongs to ${intent}, which was not declared`));
  return [...wrong, ...strange];
}

/** Attempts of one effect follow one another; at most one is seen and committed; what cannot be repeated is started once and lands once. */
function executions(facts: readonly RunFact[]): readonly Broken[] {
  const found: Broken[] = [];
  const byKey = new Map<string, Of<'execution.started'>['body'][]>();
  for (const { body } of of(facts, 'execution.started')) byKey.set(body.idempotencyKey, [...(byKey.get(body.idempotencyKey) ?? []), body]);
  const observed = of(facts, 'execution.observed');
  const committed = of(facts, 'commit.recorded');
  for (const [key, attempts] of byKey) {
    const action = attempts[0]?.action ?? '';
    const ids = new Set(attempts.map(({ execution }) => execution));
    if (attempts.some(({ attempt, replaces }, at) => attempt !== at + 1 || replaces !== (attempts[at - 1]?.execution ?? null)))
      found.push(broken(`the attempts of ${action} ${key} do not follow one another`));
    const seen = observed.filter(({ body }) => ids.has(body.execution));
    const counted = committed.filter(({ body }) => ids.has(body.execution)).length;
    if (seen.length > 1 || counted > 1)
      found.push({ doubled: true, message: `${action} ${key} was observed ${seen.length} times and committed ${counted} times` });
    const idempotence = builtinActions.find(({ name }) => name === action)?.idempotence ?? 'none';
    if (idempotence === 'none' && attempts.length > 1)
      found.push({ doubled: true, message: `${action} ${key}, which cannot be repeated, was started ${attempts.length} times` });
  }
  const landed = committed.filter(({ body }) => body.landed !== null).length;
  if (landed > 1) found.push({ doubled: true, message: `the run landed ${landed} times` });
  return found;
}

/** Each ask ends once, by an answer, a failure or the ask that replaces it. */
function asks(facts: readonly RunFact[]): readonly Broken[] {
  const replaced = of(facts, 'model.asked').flatMap(({ body }) => body.replaces ?? []);
  const answered = of(facts, 'model.answered').map(({ body }) => body.ask);
  const failed = of(facts, 'model.failed').map(({ body }) => body.ask);
  return of(facts, 'model.asked').flatMap(({ body }) => {
    const answers = answered.filter((ask) => ask === body.ask).length;
    const ends = answers + Math.max(failed.filter((ask) => ask === body.ask).length, replaced.filter((ask) => ask === body.ask).length);
    return ends === 1 ? [] : [{ doubled: answers > 1, message: `the ask ${body.ask} has ${ends} ends` }];
  });
}
