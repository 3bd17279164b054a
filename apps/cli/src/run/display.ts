/**
 * A run as it happens: lines for a person on stderr, or events for a program on stdout. Must never hold back or reorder an event, nor print text from
 * outside unescaped. A line says how long the run takes, where it is, what happened; what the model has cost stands after each answer.
 */
import { instantToMs } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import { eventLine, type ReadEvent, readEvent } from '../read/events.ts';
import { Narrator } from '../read/narrator.ts';
import type { Tally } from '../read/tally.ts';
import { type Output, safeLine } from '../output.ts';

/** What a live account needs to know at the end. */
export interface Display {
  /** Tells the display of an entry that was there before, so that it knows what later ids stand for; nothing is shown. */
  recall(stored: Stored): void;
  observe(stored: Stored): void;
  /** Takes the line in place away; nothing is shown in place any more. */
  end(): void;
}
/** How a run is shown. */
export interface DisplayOptions {
  /** Every event is one line on stdout, and stderr stays quiet. */
  readonly jsonl: boolean;
  /** The run's count, which whoever drives keeps up with what is shown. */
  readonly tally: Tally;
  /** Milliseconds of the wall clock, for the line in place only. */
  nowMs(): number;
}

/** Steps between a wish and its effect that repeat what the lines around them say. */
const QUIET = new Set(['proposal.staged', 'execution.started', 'fact.noted']);
const TICK_MS = 1000;
const PLACE_WIDTH = 22;

/** A display of one run. */
export function createDisplay(output: Output, options: DisplayOptions): Display {
  const narrator = new Narrator();
  const { tally } = options;
  let first: number | null = null;
  let ended = false;
  const refresh = (): void => {
    if (!ended && !options.jsonl) output.status(statusText(tally, options.nowMs()));
  };
  // Only redraws the line in place, so it must not keep the process alive.
  const ticking = setInterval(refresh, TICK_MS);
  ticking.unref();
  return {
    recall: (stored) => void narrator.tell(readEvent(stored)),
    observe(stored) {
      const read = readEvent(stored);
      first ??= instantToMs(stored.entry.at);
      if (options.jsonl) return output.jsonLine('event', eventLine(read));
      const line = lineOf(read, { narrator, tally, first, output });
      if (line !== null) output.progress(line);
      return refresh();
    },
    end() {
      ended = true;
      clearInterval(ticking);
      output.status(null);
    },
  };
}

interface LineContext {
  readonly narrator: Narrator;
  readonly tally: Tally;
  readonly first: number;
  readonly output: Output;
}

/** `elapsed  stage·visit turn n  ✓ what happened  (spend so far)`; null for a step that the lines around it tell. */
function lineOf(read: ReadEvent, { narrator, tally, first, output }: LineContext): string | null {
  const { dim } = output.progressStyle;
  const told = narrator.tell(read);
  if (QUIET.has(read.stored.entry.kind) && told.tone === 'plain') return null;
  const at = elapsed(Math.max(0, instantToMs(read.stored.entry.at) - first));
  const cost = read.event?.kind === 'model.answered' ? dim(`  (so far ${costText(tally)})`) : '';
  return `${dim(at)} ${dim(placeText(tally).padEnd(PLACE_WIDTH))} ${mark(told.tone, output)} ${told.text}${cost}`;
}

function placeText({ where }: Tally): string {
  if (where.stage === null) return '';
  const visit = where.visit > 1 ? `·${where.visit}` : '';
  return safeLine(`${where.stage}${visit}${where.turn > 0 ? ` turn ${where.turn}` : ''}`, PLACE_WIDTH);
}

/** The line in place: what goes on right now and what it has cost; null while a person is asked, who types there. */
function statusText(tally: Tally, nowMs: number): string | null {
  const { where } = tally;
  if (tally.firstMs === null || where.doing === 'waits for an approval') return null;
  return `  ${elapsed(Math.max(0, nowMs - tally.firstMs)).trim()}  ${placeText(tally)}  ${safeLine(where.doing ?? '…', 60)}  ${costText(tally)}`;
}

/** `3 model calls, 1204 tokens, 0.0123 USD`; without dollars where the model has no price. */
function costText(tally: Tally): string {
  const { calls, tokens, usdMicros } = tally.spent;
  return `${calls} model calls, ${tokens} tokens${tally.priced ? `, ${(usdMicros / 1e6).toFixed(4)} USD` : ''}`;
}

function mark(tone: ReturnType<Narrator['tell']>['tone'], output: Output): string {
  const { green, red, yellow, dim } = output.progressStyle;
  return { good: green('✓'), bad: red('✗'), wait: yellow('?'), plain: dim('·') }[tone];
}

/** `m:ss.s`, from the first event shown; a judgement bears the time of its fact, which may lie before. */
export function elapsed(ms: number): string {
  const tenths = Math.floor(ms / 100);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${String(Math.floor((tenths % 600) / 10)).padStart(2, '0')}.${tenths % 10}`.padStart(7);
}
