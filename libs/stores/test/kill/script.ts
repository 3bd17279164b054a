/**
 * What the process under test appends, and what must therefore be found afterwards: both sides work from this one list, so that not only counts but
 * every payload and blob can be held against it.
 */
import { canonicalText } from '@openexec/canon';
import { fixtures } from '@openexec/ledger/contract';
import type { AppendBatch, Blob, Draft } from '@openexec/ledger';

const { batchTo, fact, judgement, runNamed, textBlob } = fixtures;

/** The run that is appended to; its opening stands at position 0. */
export const RUN = runNamed('kill');
/** Seed of everything random in the child: the names of its unfinished files are the same in every run. */
export const CHILD_SEED = 77;

/** One story of appends. */
export interface Scenario {
  readonly name: string;
  /** Entries of each batch. */
  readonly sizes: readonly number[];
  /** Bytes of the blob that every batch carries; 0 = none. Over 128 KiB it becomes a file. */
  readonly blobBytes: number;
  /** Characters by which every payload is longer. */
  readonly padding?: number;
  /** The first batch that carries one; from the first on by default. */
  readonly blobFrom?: number;
  /** Whether all batches are handed over at once, to share commits. */
  readonly isGroup: boolean;
}

/** Every story of the matrix. */
export const SCENARIOS: readonly Scenario[] = [
  { name: '1', sizes: [1, 1, 1, 1], blobBytes: 0, isGroup: false },
  { name: '16', sizes: [16, 16, 16], blobBytes: 0, isGroup: false },
  { name: '256', sizes: [256, 256], blobBytes: 0, isGroup: false },
  { name: '1-row', sizes: [1, 1, 1], blobBytes: 20_000, isGroup: false },
  { name: '1-file', sizes: [1, 1, 1], blobBytes: 200_000, isGroup: false },
  { name: '16-file', sizes: [16, 16], blobBytes: 600_000, isGroup: false },
  { name: 'file-later', sizes: [1, 1, 1], blobBytes: 150_000, blobFrom: 1, isGroup: false },
  { name: '256-file', sizes: [256], blobBytes: 200_000, isGroup: false },
  { name: 'group', sizes: [1, 16, 1, 16, 3], blobBytes: 0, isGroup: true },
];

/** The scenario of that name; `NAME~N` is its Nth variant, with longer payloads, other blobs and up to three batches more. */
export function scenarioNamed(name: string): Scenario {
  const [base = '', variant = '0'] = name.split('~');
  const found = SCENARIOS.find((one) => one.name === base);
  if (found === undefined) throw new Error(`no scenario ${name}; there are ${SCENARIOS.map((one) => one.name).join(', ')}`);
  const number = Number(variant);
  const more = Array.from({ length: number % 4 }, (_, at) => 1 + at * number);
  return { ...found, name, sizes: [...found.sizes, ...more], padding: number * 97 };
}

/** One batch and where it ends. */
export interface Planned {
  readonly batch: AppendBatch;
  /** The `seq` of its last entry. */
  readonly end: number;
  readonly payloads: readonly string[];
  readonly blob: Blob | null;
}

/** The batches of a scenario, and any number after them for going on. */
export function planOf(scenario: Scenario, more = 0): readonly Planned[] {
  const planned: Planned[] = [];
  const padding = '.'.repeat(200 + (scenario.padding ?? 0));
  let seq = 0;
  for (const [at, size] of [...scenario.sizes, ...Array.from({ length: more }, () => 2)].entries()) {
    const moment = fixtures.after(seq);
    const bodies = Array.from({ length: size }, (_, index) =>
      index === 0
        ? { because: `batch ${at} of ${scenario.name} ${padding}` }
        : { why: 'late', message: `${scenario.name}.${at}.${index} ${padding}`, violation: false },
    );
    const drafts: Draft[] = bodies.map((body, index) =>
      index === 0
        ? fact('run.cancelRequested', body, { at: moment })
        : judgement('fact.noted', body, { cause: seq + 1, law: 1, at: moment }),
    );
    const blob =
      scenario.blobBytes === 0 || at < (scenario.blobFrom ?? 0)
        ? null
        : textBlob(`${scenario.name} ${at} `.padEnd(scenario.blobBytes, 'abcdefgh'));
    const batch = { ...batchTo(RUN, seq, drafts, 1), blobs: blob === null ? [] : [blob] };
    seq += size;
    planned.push({ batch, end: seq, payloads: bodies.map((body) => canonicalText(body)), blob });
  }
  return planned;
}
