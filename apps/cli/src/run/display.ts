/**
 * A run as it happens: lines for a person on stderr, or events for a program on stdout. Must never hold back or reorder an event, nor print text from
 * outside unescaped.
 */
import { instantToMs } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { Amount } from '@openexec/protocol';
import { eventLine, type KnownEvent, readEvent } from '../read/events.ts';
import { Narrator } from '../read/narrator.ts';
import type { Output } from '../output.ts';

/** What a live account needs to know at the end. */
export interface Display {
  /** Tells the display of an entry that was there before, so that it knows what later ids stand for; nothing is shown. */
  recall(stored: Stored): void;
  observe(stored: Stored): void;
  /** Tokens, micro-dollars and calls settled so far. */
  spent(): Amount;
}

/** Steps between a wish and its effect that repeat what the lines around them say. */
const QUIET = new Set(['proposal.staged', 'execution.started', 'fact.noted']);

/** A display; with `jsonl` every event is one line on stdout, and stderr stays quiet. */
export function createDisplay(output: Output, options: { readonly jsonl: boolean }): Display {
  const narrator = new Narrator();
  let first: number | null = null;
  let spent: Amount = { tokens: 0, usdMicros: 0, calls: 0 };
  return {
    spent: () => spent,
    recall: (stored) => void narrator.tell(readEvent(stored)),
    observe(stored) {
      const read = readEvent(stored);
      const at = instantToMs(stored.entry.at);
      first ??= at;
      if (read.event !== null) spent = settled(spent, read.event);
      if (options.jsonl) return output.jsonLine(eventLine(read));
      const { dim } = output.progressStyle;
      const told = narrator.tell(read);
      if (QUIET.has(stored.entry.kind) && told.tone === 'plain') return undefined;
      const cost = read.event?.kind === 'model.answered' ? dim(`  (${spent.calls} calls, ${spent.tokens} tokens so far)`) : '';
      return output.progress(`${dim(elapsed(Math.max(0, at - first)))} ${mark(told.tone, output)} ${told.text}${cost}`);
    },
  };
}

function mark(tone: ReturnType<Narrator['tell']>['tone'], output: Output): string {
  const { green, red, yellow, dim } = output.progressStyle;
  return { good: green('✓'), bad: red('✗'), wait: yellow('?'), plain: dim('·') }[tone];
}

function settled(spent: Amount, event: KnownEvent): Amount {
  if (event.kind !== 'model.answered' || event.body.usage === null) return spent;
  const { inputTokens, outputTokens } = event.body.usage;
  return { ...spent, tokens: spent.tokens + inputTokens + outputTokens, calls: spent.calls + 1 };
}

/** `m:ss.s`, from the first event shown; a judgement bears the time of its fact, which may lie before. */
function elapsed(ms: number): string {
  const tenths = Math.floor(ms / 100);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${String(Math.floor((tenths % 600) / 10)).padStart(2, '0')}.${tenths % 10}`.padStart(7);
}
