/**
 * `openexec ledger anchor`: shows the present tree head to the configured anchors and records their receipts. Exit 22 when one did not take it, 20
 * when one holds a tree that this ledger does not continue (CLI.md, PROTOCOL §3).
 */
import { instantToMs, ok, toHex } from '@openexec/canon';
import type { Command } from 'commander';
import { dueOf } from '../anchors/along.ts';
import { openPlaces } from '../anchors/places.ts';
import { type Shown, showTo } from '../anchors/submit.ts';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { tendTiles } from './tiles.ts';

interface AnchorOptions {
  readonly ledger?: string;
  readonly to?: readonly string[];
  readonly due?: boolean;
  readonly json?: boolean;
}

/** Adds options and action to the command `anchor`. */
export function registerAnchor(command: Command, context: CommandContext): void {
  command
    .option('--to <name...>', 'only these of the configured anchors')
    .option('--due', 'only those whose time has come or that failed when last asked; for a timer')
    .option('--json', 'one JSON document')
    .action(context.act((options: AnchorOptions) => anchor(context, options)));
}

async function anchor(context: CommandContext, options: AnchorOptions): Promise<CommandResult> {
  const project = options.ledger === undefined ? await context.project() : ok(null);
  if (!project.ok) return project;
  return withLedger(context, { ledger: options.ledger, access: 'write' }, async (ledger) => {
    const settings = openPlaces(context, { fingerprint: ledger.fingerprint, project: project.value });
    if (!settings.ok) return settings;
    const { places } = settings.value;
    if (places.length === 0 && settings.value.tiles === null)
      return refuse('anchor.notConfigured', 'no anchor is configured for this ledger');
    const unknown = options.to?.find((name) => !places.some((place) => place.anchor.name === name));
    if (unknown !== undefined) {
      const names = places.map((place) => place.anchor.name).join(', ');
      return refuse('usage.invalid', `there is no anchor "${safeLine(unknown, 64)}" for this ledger; there are ${names}`);
    }
    const named = options.to === undefined ? places : places.filter((place) => options.to?.includes(place.anchor.name));
    const wanted = options.due === true ? dueOf(named, ledger.stateFolder, instantToMs(context.clock.now())) : named;
    const showing = await showTo(wanted, context, ledger);
    if (!showing.ok) return showing;
    const { checkpoint, note, shown } = showing.value;
    if (settings.value.tiles !== null) {
      const kept = await tendTiles(ledger.store, settings.value.tiles, { size: checkpoint.size, note });
      if (!kept.ok) return kept;
    }
    if (options.json === true) {
      const root = `sha256:${toHex(checkpoint.root)}`;
      context.output.json('ledger-anchor', { v: 1, exit: exitOf(shown), size: checkpoint.size, root, anchors: shown });
      return ok(exitOf(shown));
    }
    context.output.result(`size  ${checkpoint.size}  root sha256:${toHex(checkpoint.root)}`);
    for (const each of shown) context.output.result(lineOf(each));
    return outcome(shown);
  });
}

function lineOf({ name, type, taken, position, code, message }: Shown): string {
  const said = taken ? `taken; recorded at ${position}` : `not taken: ${code}: ${safeLine(message ?? '')}`;
  return `${safeLine(name)}  ${type}  ${said}`;
}

function exitOf(shown: readonly Shown[]): typeof EXIT.ok | typeof EXIT.integrity | typeof EXIT.anchor {
  if (shown.some(({ code }) => code === 'anchor.conflict')) return EXIT.integrity;
  return shown.every(({ taken }) => taken) ? EXIT.ok : EXIT.anchor;
}

function outcome(shown: readonly Shown[]): CommandResult {
  const conflict = shown.find(({ code }) => code === 'anchor.conflict');
  if (conflict !== undefined) return refuse('anchor.conflict', conflict.message ?? `${conflict.name} holds another tree`);
  const failed = shown.filter(({ taken }) => !taken).map(({ name }) => name);
  return failed.length === 0 ? ok(EXIT.ok) : refuse('anchor.failed', `not taken by ${failed.join(', ')}`);
}
