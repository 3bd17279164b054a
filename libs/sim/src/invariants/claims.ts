/**
 * Invariant 8: the model never rates its own risk, chooses its own profile, or selects the next stage. What it claims about itself is turned around and
 * the kernel asked again: nothing but the record of the claims may change. ARCHITECTURE §7.
 */
import { type Bytes, canonicalText, type Digest, digestJson, type Json, parseJson, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { narrowProfile, profileUnder } from '@openexec/catalogue';
import { judge, type QueuedFact, type RunState } from '@openexec/kernel';
import type { CheckedStage } from '@openexec/protocol';
import { type Checker, type EntryMoment, placeOf, type Tell } from '../moment.ts';

type Members = { readonly [name: string]: Json };
const CLAIMED = { rationale: 'turned around', claimedRisk: 'irreversible, but trust me' } as const;
const LARGEST_ANSWER_BYTES = 1_000_000;

const membersOf = (json: Json | undefined): Members | null =>
  typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Members) : null;

/** A call with other claims; one that is malformed claims nothing. */
function turnedCall(call: Json): Json {
  const members = membersOf(call);
  const text = members?.['arguments'];
  const parsed =
    typeof text === 'string' ? parseJson(text === '' ? '{}' : text, { maxBytes: LARGEST_ANSWER_BYTES, numbers: 'doubles' }) : null;
  const args = parsed?.ok === true ? membersOf(parsed.value) : null;
  return members === null || args === null ? call : { ...members, arguments: canonicalText({ ...args, ...CLAIMED }) };
}

function turnedAnswer(bytes: Bytes): Bytes {
  const parsed = parseJson(bytes, { maxBytes: LARGEST_ANSWER_BYTES, numbers: 'doubles' });
  const answer = parsed.ok ? membersOf(parsed.value) : null;
  const calls = answer?.['calls'];
  return answer === null || !Array.isArray(calls)
    ? bytes
    : utf8Encode(canonicalText({ ...answer, calls: calls.map((call: Json) => turnedCall(call)) }));
}

function turnedFact({ seq, event }: QueuedFact): QueuedFact {
  if (event.kind !== 'model.answered') return { seq, event };
  const blobs = new Map<Digest, Bytes>([...event.blobs].map(([digest, bytes]) => [digest, turnedAnswer(bytes)]));
  return { seq, event: { ...event, blobs } };
}

/** The state in which the model claimed something else; null where it claimed nothing that is still to be judged. */
function turned(state: RunState): RunState | null {
  const fact = state.queue[0];
  // A judgement without its fact is for invariant 5 to name.
  if (fact === undefined) return null;
  const answered = fact.event.kind === 'model.answered';
  const open = state.stage?.intents.some(({ phase, author }) => phase !== 'ended' && author === 'model') === true;
  if (!answered && !open) return null;
  const stage =
    state.stage === null
      ? null
      : {
          ...state.stage,
          calls: state.stage.calls.map((call) => ({ ...call, claims: CLAIMED })),
          intents: state.stage.intents.map((intent) => ({ ...intent, claims: CLAIMED })),
        };
  return { ...state, stage, queue: state.queue.map(turnedFact) };
}

/** Stages to which an outcome may lead, by the blueprint alone. */
function routeOf(stage: CheckedStage, outcome: 'succeeded' | 'failed' | 'skipped'): string {
  return outcome === 'failed' ? stage.onFailure : stage.onSuccess;
}

class ClaimsChangeNothing implements Checker {
  readonly invariant = 8;
  readonly name = 'the model rates no risk, chooses no profile, selects no stage';
  /** The kernel's list for the turned state of the fact in hand, by run, and how far the recorded one has come. */
  readonly #turned = new Map<TrajectoryId, { readonly cause: number; readonly list: ReturnType<typeof judge>; next: number }>();
  /** The one stage that each run may enter next. */
  readonly #next = new Map<TrajectoryId, string>();
  readonly #rewound = new Map<string, string>();
  readonly #started = new Map<Digest, string>();

  see(moment: Parameters<Checker['see']>[0], tell: Tell): void {
    if (moment.what === 'performs') {
      const profile = digestJson({ ...moment.order.profile });
      if (this.#started.get(moment.order.execution) !== profile)
        tell(`${moment.order.action} runs in another profile than its start names`);
    }
    if (moment.what !== 'entry') return;
    this.#claims(moment, tell);
    this.#route(moment, tell);
    if (moment.kind === 'execution.started') this.#profile(moment, tell);
  }

  #claims(moment: EntryMoment, tell: Tell): void {
    const { trajectory, cause } = moment.stored.entry;
    if (cause === null || moment.before === null) return;
    let held = this.#turned.get(trajectory);
    if (held?.cause !== cause) {
      const other = turned(moment.before);
      held = { cause, list: other === null ? [] : judge(other, moment.law), next: 0 };
      this.#turned.set(trajectory, held);
    }
    if (held.list.length === 0) return;
    const made = held.list[held.next++];
    const place = placeOf(moment.stored);
    if (made?.kind !== moment.kind) return tell(`${place}: with other claims of the model it would be ${made?.kind ?? 'nothing'}`);
    if (moment.kind !== 'intent.declared' && canonicalText(made.body) !== canonicalText(moment.body))
      tell(`${place} depends on what the model claims about itself`);
  }

  #route(moment: EntryMoment, tell: Tell): void {
    const run = moment.stored.entry.trajectory;
    const place = placeOf(moment.stored);
    const law = moment.before?.law ?? null;
    if (moment.kind === 'stage.left') {
      const contract = law?.stages.get(moment.body.stage);
      const next = contract === undefined ? 'nothing' : routeOf(contract, moment.body.outcome);
      if (moment.body.next !== next) tell(`${place} leads to ${moment.body.next}, the blueprint to ${next}`);
      this.#next.set(run, next);
    }
    // A rewind goes to the entry that a person named.
    if (moment.kind === 'run.rewound') this.#rewound.set(`${run} ${moment.stored.entry.seq}`, moment.body.stage);
    if (moment.kind !== 'stage.entered') return;
    const rewound = this.#rewound.get(`${run} ${moment.stored.entry.cause}`);
    const expected = rewound ?? this.#next.get(run) ?? moment.after?.law?.blueprint.stages[0]?.id;
    if (moment.body.stage !== expected) tell(`${place} enters ${moment.body.stage}, the route leads to ${expected ?? 'nothing'}`);
    const contract = moment.after?.law?.stages.get(moment.body.stage);
    if (contract !== undefined && contract.type !== moment.body.type) tell(`${place} is entered as ${moment.body.type}`);
  }

  /** The profile is the run's, narrowed by the stage; command and deadline are the catalogue's. */
  #profile(moment: Extract<EntryMoment, { kind: 'execution.started' }>, tell: Tell): void {
    const { body, stored, after } = moment;
    this.#started.set(body.execution, body.sandbox.profile);
    const stage = after?.stage === null || after?.stage === undefined ? undefined : after.law?.stages.get(after.stage.id);
    if (after === null || after.law === null || stage === undefined) return;
    const masked = after.stage?.intents.find(({ execution }) => execution?.id === body.execution)?.execution?.masked ?? [];
    const narrowed = narrowProfile(profileUnder(after.law.profile, after.law.writ), stage.sandbox);
    const profile = masked.length === 0 ? narrowed : { ...narrowed, masked };
    if (digestJson({ ...profile }) !== body.sandbox.profile) tell(`${placeOf(stored)} runs in a profile that its stage does not give`);
    const name = after.law.actions.get(body.action)?.command ?? null;
    const command = name === null ? undefined : after.law.catalogue.commands[name];
    const argv = command === undefined || command === 'none' ? null : command.argv;
    if (canonicalText(body.command) !== canonicalText(argv)) tell(`${placeOf(stored)} runs a command that the catalogue does not give`);
  }
}

/** 8: the model's claims change nothing. */
export function claimsChangeNothing(): Checker {
  return new ClaimsChangeNothing();
}
