/**
 * A run told in lines: one for each event, from what is recorded and nothing else. Must never print text from outside unescaped, nor leave
 * an event out (CLI.md "timeline").
 */
import type { Amount, InlineOrBlob, Reason } from '@openexec/protocol';
import { childOf } from '@openexec/runtime';
import { shortRun } from '../findRun.ts';
import { safeLine, type Style } from '../output.ts';
import type { KnownEvent, ReadEvent } from './events.ts';
import { wishText } from './wish.ts';

/** How an event is to be taken: `good` went through, `bad` was refused or failed, `wait` wants somebody, `plain` is a step. */
type Tone = 'good' | 'bad' | 'wait' | 'plain';
interface Told {
  readonly tone: Tone;
  readonly text: string;
}

const MARK: Readonly<Record<Tone, string>> = { good: '✓', bad: '✗', wait: '?', plain: '·' };
const SHORT = 12;

const short = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, SHORT);
const why = (because: Reason): string => `${because.code}: ${safeLine(because.message, 240)}`;
const plain = (text: string): Told => ({ tone: 'plain', text });
const good = (text: string): Told => ({ tone: 'good', text });
const bad = (text: string): Told => ({ tone: 'bad', text });
const wait = (text: string): Told => ({ tone: 'wait', text });

/** `123 tokens, 0.0012 USD, 4 calls`. */
export function amountText(amount: Amount): string {
  return `${amount.tokens} tokens, ${(amount.usdMicros / 1e6).toFixed(4)} USD, ${amount.calls} calls`;
}

/** How much of the tree an execution could not see. */
function maskedText({ masked }: { readonly masked?: InlineOrBlob }): string {
  if (masked === undefined) return '';
  if ('blob' in masked) return '; many places may not be read there';
  const count = Array.isArray(masked.inline) ? masked.inline.length : 0;
  return `; ${count} ${count === 1 ? 'place' : 'places'} may not be read there`;
}

/** Tells the events of one run, in order; remembers what ids stand for. */
export class Narrator {
  readonly #names = new Map<string, string>();

  /** The line of one event. */
  tell(read: ReadEvent): Told {
    const { kind } = read.stored.entry;
    if (read.event !== null) return this.#tell(read.event);
    return bad(read.stored.payload === null ? `${kind} (its payload was erased)` : `${kind} (its payload is not of its schema)`);
  }

  /** The line of one event with its place and time, for a terminal. */
  line(read: ReadEvent, style: Style): string {
    const { seq, at } = read.stored.entry;
    const told = this.tell(read);
    const paint = { good: style.green, bad: style.red, wait: style.yellow, plain: style.dim }[told.tone];
    return `${style.dim(`${String(seq).padStart(4)}  ${at.slice(11, 23)}`)}  ${paint(MARK[told.tone])} ${told.tone === 'plain' ? told.text : paint(told.text)}`;
  }

  #name(id: string): string {
    return this.#names.get(id) ?? short(id);
  }

  #tell(event: KnownEvent): Told {
    const told = this.#tellRun(event) ?? this.#tellWork(event) ?? this.#tellIntent(event) ?? this.#tellExecution(event);
    return told ?? plain(event.kind);
  }

  #tellRun({ kind, body }: KnownEvent): Told | null {
    switch (kind) {
      case 'run.opened':
        return plain(
          `opened on ${body.base.commit.slice(0, SHORT)}, model ${body.model === null ? 'none' : safeLine(`${body.model.provider}:${body.model.model}`)}, approvals ${body.approvals}`,
        );
      case 'run.resumed':
        return plain(`resumed by another driver: ${safeLine(body.because)}`);
      case 'run.pauseRequested':
        return wait(`a pause was asked for by the ${body.by}: ${why(body.because)}`);
      case 'run.cancelRequested':
        return wait(`a cancellation was asked for: ${safeLine(body.because)}`);
      case 'run.rewound':
        return plain(`rewound to stage ${body.stage}, visit ${body.visit}`);
      case 'run.parked':
        return wait(`parked: ${why(body.because)}`);
      case 'run.closed': {
        const text = `closed, ${body.outcome}: ${why(body.because)}; ${amountText(body.spend)}`;
        return body.outcome === 'done'
          ? good(`${text}${body.result === null ? '' : `; ${safeLine(body.result.ref)} is ${body.result.commit.slice(0, SHORT)}`}`)
          : bad(text);
      }
      case 'fact.noted':
        return body.violation
          ? bad(`noted as a violation: ${body.why}: ${safeLine(body.message)}`)
          : plain(`noted: ${body.why}: ${safeLine(body.message)}`);
      default:
        return null;
    }
  }

  #tellWork({ kind, body }: KnownEvent): Told | null {
    switch (kind) {
      case 'stage.entered':
        return plain(`stage ${body.stage}${body.visit > 1 ? `, visit ${body.visit}` : ''} entered`);
      case 'stage.left': {
        const text = `stage ${body.stage} ${body.outcome}: ${why(body.because)}; next ${body.next}`;
        return body.outcome === 'failed' ? bad(text) : good(text);
      }
      case 'model.asked':
        return plain(
          `asked ${safeLine(`${body.provider}:${body.model}`)}, turn ${body.turn}${body.attempt > 1 ? `, attempt ${body.attempt}` : ''}`,
        );
      case 'model.answered':
        return plain(
          `answered in ${body.durationMs} ms${body.usage === null ? '' : `, ${body.usage.inputTokens} + ${body.usage.outputTokens} tokens`}`,
        );
      case 'model.failed':
        return bad(`the model failed: ${why(body.error)}`);
      case 'effect.undeclared':
        return bad(
          `an effect outside the declaration${body.paths.length === 0 ? '' : ` at ${body.paths.map((path) => safeLine(path)).join(', ')}`}: ${why(body.because)}`,
        );
      case 'delegation.opened':
        return plain(
          `delegated ${body.key} to ${shortRun(childOf(body.writ))}, blueprint ${body.blueprint}, at most ${amountText(body.reservation)}`,
        );
      case 'delegation.closed':
        return (body.outcome === 'done' ? good : bad)(
          `the child run ${body.child === null ? 'never opened' : shortRun(body.child.trajectory)} ended, ${body.outcome}: ${why(body.because)}; ${amountText(body.spend)}`,
        );
      default:
        return null;
    }
  }

  #tellIntent({ kind, body }: KnownEvent): Told | null {
    switch (kind) {
      case 'intent.submitted':
        return plain(
          `${safeLine(body.channel)} submitted ${wishText(body.action, 'inline' in body.arguments ? body.arguments.inline : null)}`,
        );
      case 'intent.declared': {
        const name = wishText(body.action, 'inline' in body.arguments ? body.arguments.inline : null);
        this.#names.set(body.intent, name);
        return plain(`${body.author} wants ${name}`);
      }
      case 'policy.decided': {
        const name = body.intent === null ? safeLine(body.subject) : this.#name(body.intent);
        const by = body.rule === null ? body.by : `rule ${body.rule.layer}/${body.rule.rule}`;
        if (body.verdict === 'permit') return good(`permitted by ${by}: ${name}`);
        return body.verdict === 'deny'
          ? bad(`denied by ${by}: ${name}: ${why(body.because)}`)
          : wait(`approval wanted by ${by}: ${name}: ${why(body.because)}`);
      }
      case 'proposal.staged':
        this.#names.set(body.proposal, this.#name(body.intent));
        return plain(`staged ${this.#name(body.intent)} (${body.effect})`);
      case 'proposal.suspended':
        this.#names.set(body.proposal, this.#name(body.intent));
        return wait(`suspended ${this.#name(body.intent)}`);
      case 'proposal.rejected':
        // At compile the verdict right before it has said why.
        return bad(`rejected at ${body.at}: ${this.#name(body.intent)}${body.at === 'compile' ? '' : `: ${why(body.because)}`}`);
      case 'approval.requested':
        return wait(
          `approval ${short(body.request)} requested of ${body.terms.quorum} ${body.terms.roles.join(' or ')} until ${body.until}: ${safeLine(body.action)}`,
        );
      case 'approval.voted':
        return plain(`vote to ${body.vote.body.decision}: ${safeLine(body.vote.body.because)}`);
      case 'approval.expired':
        return bad(`approval ${short(body.request)} expired`);
      case 'approval.resolved':
        return body.outcome === 'approved'
          ? good(`approval ${short(body.request)} given`)
          : bad(`approval ${short(body.request)} ${body.outcome}: ${why(body.because)}`);
      default:
        return null;
    }
  }

  #tellExecution({ kind, body }: KnownEvent): Told | null {
    switch (kind) {
      case 'execution.started':
        // A reader that comes in after a crash has not seen the proposal; the action's name says enough.
        this.#names.set(body.execution, this.#names.get(body.proposal) ?? body.action);
        return plain(
          `started ${this.#name(body.execution)}${body.attempt > 1 ? `, attempt ${body.attempt}` : ''}${maskedText(body.sandbox)}`,
        );
      case 'execution.observed':
        return body.status === 'ok'
          ? plain(`observed ${this.#name(body.execution)}: ${safeLine(body.summary)}`)
          : bad(`observed ${this.#name(body.execution)}: ${safeLine(body.summary)}`);
      case 'execution.failed':
        return bad(`${this.#name(body.execution)} failed: ${why(body.error)}`);
      case 'execution.lost':
        return bad(`${this.#name(body.execution)} is lost: ${why(body.because)}`);
      case 'commit.recorded':
        return good(
          `committed ${this.#name(body.proposal)}${body.landed === null ? '' : ` to ${safeLine(body.landed.ref)}`}; world ${short(body.worldRoot)}`,
        );
      case 'commit.compensated':
        return plain(`undone: ${body.compensates.length} commits`);
      default:
        return null;
    }
  }
}
