/**
 * `openexec timeline RUN`: what happened, event by event, also while it happens and from another process. The cursor is the position in
 * the ledger, so that a reader that was cut off goes on without a gap and without a repeat (CLI.md, GOALS E11).
 */
import { ok, parseDecimal, type TrajectoryId } from '@openexec/canon';
import type { StopSignal } from '@openexec/catalogue';
import type { LedgerStore, Stored } from '@openexec/ledger';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { eventLine, readEvent } from '../read/events.ts';
import { writeRunFolder } from '../read/folder.ts';
import { entriesOf, Family, familyOf } from '../read/family.ts';
import { withLedger } from '../read/guard.ts';
import { Narrator } from '../read/narrator.ts';

const INDENT = '    ';

interface TimelineOptions {
  readonly follow?: boolean;
  readonly after?: string;
  readonly jsonl?: boolean;
  readonly out?: string;
  readonly json?: boolean;
  readonly children?: boolean;
  readonly ledger?: string;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('timeline')
    .description('what happened in a run, event by event')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--follow', 'go on with what is appended, by whichever process, until the run is closed')
    .option('--after <cursor>', 'only what stands after this position of the ledger')
    .option('--jsonl', 'one JSON object per event: {v, run, seq, at, kind, cursor, …}')
    .option('--out <folder>', 'write the run as a folder that is not there yet: timeline, artifacts, context pack, policy, figures, safety')
    .option('--json', 'with --out: one JSON document about the folder')
    .option('--children', 'with the child runs, where they belong, each a step further in')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec timeline latest\n  openexec timeline latest --follow --jsonl --after 1042\n  openexec timeline 3f2a --out run-3f2a',
    )
    .action(context.act((run: string, options: TimelineOptions) => timeline(context, run, options)));
};

async function timeline(context: CommandContext, wanted: string, options: TimelineOptions): Promise<CommandResult> {
  const { out, follow: follows, after: from, jsonl, json } = options;
  if (out !== undefined) {
    if (follows === true || from !== undefined || jsonl === true)
      return refuse('usage.invalid', '--out writes the whole run as it stands; --follow, --after and --jsonl do not go with it');
    return writeRunFolder(context, wanted, { out, json: json === true, ledger: options.ledger });
  }
  if (json === true) return refuse('usage.invalid', '--json goes with --out; --jsonl prints one object per event');
  const after = options.after === undefined ? ok(-1n) : parseDecimal(options.after);
  if (!after.ok)
    return refuse('usage.invalid', `--after takes the cursor of an event, a whole number, not ${JSON.stringify(options.after)}`);
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const run = await context.findRun(store, wanted);
    if (!run.ok) return run;
    const { output } = context;
    const family = options.children === true ? await familyOf(store, run.value) : new Family(run.value);
    const narrators = new Map<TrajectoryId, Narrator>();
    const show = (stored: Stored, quiet = false): void => {
      const read = readEvent(stored);
      if (options.jsonl === true) {
        if (!quiet) output.jsonLine('event', eventLine(read));
        return;
      }
      const { trajectory } = stored.entry;
      const narrator = narrators.get(trajectory) ?? new Narrator();
      narrators.set(trajectory, narrator);
      const line = narrator.line(read, output.style);
      if (!quiet) output.result(`${INDENT.repeat(family.depthOf(trajectory) ?? 0)}${line}`);
    };
    // Before the first line: whoever sees one may interrupt at once.
    const stop = options.follow === true ? context.stopOnInterrupt() : null;
    let next = 0n;
    let closed = false;
    for await (const stored of options.children === true ? await entriesOf(store, family) : store.read(run.value)) {
      // What stands before the cursor is not shown, but told to the narrator, who has to know what ids stand for.
      show(stored, stored.index <= after.value);
      next = stored.index + 1n;
      if (stored.entry.trajectory === run.value) closed = stored.entry.kind === 'run.closed';
    }
    if (stop === null || closed) return ok(EXIT.ok);
    const members = options.children === true ? family : null;
    return follow(stop, { store, run: run.value, members, from: next > after.value ? next : after.value + 1n, show });
  });
}

interface Following {
  readonly store: LedgerStore;
  readonly run: TrajectoryId;
  /** The child runs that are shown too, or null. */
  readonly members: Family | null;
  readonly from: bigint;
  readonly show: (stored: Stored) => void;
}

async function follow(stop: StopSignal, where: Following): Promise<CommandResult> {
  const subscription = where.store.follow(where.from);
  const release = stop.onStop(() => void subscription.return());
  try {
    for await (const stored of subscription) {
      const { trajectory, kind } = stored.entry;
      if (trajectory !== where.run && where.members?.depthOf(trajectory) === undefined) continue;
      where.members?.meet(stored);
      where.show(stored);
      if (trajectory === where.run && kind === 'run.closed') break;
    }
  } finally {
    release();
  }
  return ok(stop.stopped ? EXIT.interrupted : EXIT.ok);
}
