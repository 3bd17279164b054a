/**
 * `openexec timeline RUN --out FOLDER`: one run as files, written beside the place and put there when it is whole. Must never write over what is there,
 * nor anywhere else (CLI.md, schemas/timeline.md).
 */
import { renameSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { folderSink, writeTimeline } from '@openexec/audit';
import { ok, type Result } from '@openexec/canon';
import type { TimelineIndex } from '@openexec/protocol';
import { atNewPlace } from '../bundle/out.ts';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, refuse, type Refusal } from '../exit.ts';
import { safeLine } from '../output.ts';
import { withLedger } from './guard.ts';

/** Writes the folder of the run that `wanted` names; `out` is relative to where the command was called. */
export async function writeRunFolder(
  context: CommandContext,
  wanted: string,
  { out, json, ledger }: { readonly out: string; readonly json: boolean; readonly ledger: string | undefined },
): Promise<CommandResult> {
  const path = (isAbsolute(out) ? out : resolve(context.cwd, out)).replace(/\/+$/, '');
  return withLedger(context, { ledger }, async ({ store }) => {
    const run = await context.findRun(store, wanted);
    if (!run.ok) return run;
    const made = await atNewPlace(path, async (unfinished): Promise<Result<TimelineIndex, Refusal>> => {
      const index = await writeTimeline(store, run.value, folderSink(unfinished));
      if (index === null) return refuse('run.unknown', `${run.value} has no entry`);
      renameSync(unfinished, path);
      return ok(index);
    });
    if (!made.ok) return made;
    const { entries, files, unreadable, blobs, head } = made.value;
    const document = {
      v: 1 as const,
      exit: EXIT.ok,
      path,
      run: run.value,
      entries,
      head,
      files: files.length + 1,
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      unreadable: unreadable.length,
      erasedBlobs: blobs.filter(({ because }) => because === 'erased').length,
      withheldBlobs: blobs.filter(({ because }) => because === 'withheld').length,
    };
    if (json) context.output.json('timeline-folder', document);
    else for (const line of linesOf(document)) context.output.result(line);
    return ok(EXIT.ok);
  });
}

interface Written {
  readonly path: string;
  readonly run: string;
  readonly entries: number;
  readonly files: number;
  readonly unreadable: number;
  readonly erasedBlobs: number;
  readonly withheldBlobs: number;
}

function linesOf({ path, run, entries, files, unreadable, erasedBlobs, withheldBlobs }: Written): readonly string[] {
  const gone = unreadable + erasedBlobs + withheldBlobs;
  return [
    `folder  ${safeLine(path)}`,
    `holds   ${run}: ${entries} entries, ${files} files; index.json lists each with its digest`,
    ...(gone === 0 ? [] : [`gone    ${unreadable} payloads, ${erasedBlobs} blobs erased, ${withheldBlobs} blobs withheld from the ledger`]),
  ];
}
