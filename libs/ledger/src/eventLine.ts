/** One event as every stream of events carries it: the line of `timeline --jsonl` and of `timeline.jsonl` (CLI.md; schemas/cli/event.schema.json). */
import type { Json } from '@openexec/canon';
import { factsOf } from './kinds.ts';
import type { Stored } from './types.ts';

/** One event, version 1. `cursor` is its position in the ledger: `--after` takes it. */
export interface EventLine {
  readonly v: 1;
  readonly run: string;
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly cursor: string;
  readonly class: 'fact' | 'judgement';
  readonly actor: string;
  readonly cause: number | null;
  readonly law: number | null;
  /** Null when the payload was erased. */
  readonly body: Json | null;
}

/** The line of one event; `body` is its payload, parsed. */
export function eventLine({ entry, index }: Pick<Stored, 'entry' | 'index'>, body: Json | null): EventLine {
  return {
    v: 1,
    run: entry.trajectory,
    seq: entry.seq,
    at: entry.at,
    kind: entry.kind,
    cursor: index.toString(),
    class: factsOf(entry.kind)?.judged === true ? 'judgement' : 'fact',
    actor: entry.actor,
    cause: entry.cause,
    law: entry.law,
    body,
  };
}
