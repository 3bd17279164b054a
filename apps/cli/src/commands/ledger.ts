/**
 * `openexec ledger …`: the ledger itself. What is printed for other tools (entries, checkpoints, proofs) is exactly their format and
 * nothing else.
 */
import { mkdirSync } from 'node:fs';
import { type Digest, ok, parseDecimal, parseDigest, type Result, toHex, utf8Decode } from '@openexec/canon';
import { writePin } from '@openexec/config';
import type { CliDocument } from '@openexec/protocol';
import type { Command } from 'commander';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { readEvent } from '../read/events.ts';
import { readRefusal, withLedger } from '../read/guard.ts';
import { backUp, fsck, type FsckOptions, type Growth, growthOf, total } from '../keep/tend.ts';
import { erase, type EraseOptions, prune, type PruneOptions } from '../keep/forget.ts';
import { exportLedger, type ExportOptions, importLedger, type ImportOptions } from '../keep/move.ts';
import { withPassphrase } from '../passphrase.ts';
import { registerAnchor } from '../ledger/anchor.ts';
import { consistencyOfTiles, proveFromTiles, registerTiles } from '../ledger/tiles.ts';
import { logKeys, proveConsistency, proveEntry } from '../read/proofs.ts';

interface LedgerOption {
  readonly ledger?: string;
}
interface InfoOptions extends LedgerOption {
  readonly json?: boolean;
  readonly growth?: boolean;
}
interface TilesOption extends LedgerOption {
  readonly tiles?: string;
}
interface ReadOptions extends LedgerOption {
  readonly from: string;
  readonly limit?: string;
  readonly jsonl?: boolean;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  const ledger = program
    .command('ledger')
    .description('look at the ledger itself')
    .addHelpText('after', '\nExample:\n  openexec ledger info');
  const sub = (name: string, description: string, example: string): Command =>
    ledger
      .command(name)
      .description(description)
      .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
      .addHelpText('after', `\nExample:\n  ${example}`);
  sub('info', 'origin, fingerprint, size, root, keys, trajectories', 'openexec ledger info --json')
    .option('--json', 'one JSON document')
    .option('--growth', 'bytes of entries, payloads and blobs by kind; reads everything')
    .action(context.act((options: InfoOptions) => info(context, options)));
  sub('pin', 'trust this ledger, founded elsewhere, by the fingerprint that you were given', 'openexec ledger pin sha256:…')
    .argument('<fingerprint>', 'sha256: and 64 hex digits, from whoever founded it and not from the ledger itself')
    .action(context.act((fingerprint: string, options: LedgerOption) => pin(context, fingerprint, options)));
  sub('read', 'entries in ledger order', 'openexec ledger read --from 0 --limit 10 --jsonl')
    .option('--from <index>', 'first entry', '0')
    .option('--limit <count>', 'how many at most')
    .option('--jsonl', 'one JSON object per entry, with the exact entry and payload texts and the salt')
    .action(context.act((options: ReadOptions) => read(context, options)));
  sub('checkpoint', 'sign the present tree head (C2SP tlog-checkpoint)', 'openexec ledger checkpoint').action(
    context.act((options: LedgerOption) => checkpoint(context, options)),
  );
  sub('prove', 'prove that an entry stands in the ledger (C2SP tlog-proof)', 'openexec ledger prove 42 > entry-42.tlog-proof')
    .argument('<index>', 'position of the entry in the ledger')
    .option('--tiles <folder>', 'read tiles, as openexec ledger tiles writes them, instead of the ledger')
    .action(context.act((index: string, options: TilesOption) => prove(context, index, options)));
  sub('consistency', 'prove that a later tree continues an earlier one (add-checkpoint body)', 'openexec ledger consistency 10 42')
    .argument('<old>', 'size of the earlier tree')
    .argument('<new>', 'size of a kept checkpoint')
    .option('--tiles <folder>', 'read tiles, as openexec ledger tiles writes them, instead of the ledger')
    .action(context.act((from: string, to: string, options: TilesOption) => consistency(context, from, to, options)));
  registerTiles(
    sub('tiles', 'write the tree under the newest checkpoint as C2SP tlog-tiles', 'openexec ledger tiles --out public'),
    context,
  );
  registerAnchor(sub('anchor', 'show the present tree head to the configured anchors, and record it', 'openexec ledger anchor'), context);
  keeping(sub, context);
};

/** What is done to a whole ledger. */
function keeping(sub: (name: string, description: string, example: string) => Command, context: CommandContext): void {
  sub('export', 'the whole ledger as one file; with --move it is sealed first', 'openexec ledger export ledger.oxl')
    .argument('<file>', 'a file that is not there yet')
    .option('--move', 'seal this ledger: it takes no more entries')
    .option('--to <id>', 'with --move: the id that openexec ledger import --prepare printed')
    .action(context.act((file: string, options: ExportOptions) => exportLedger(context, file, options)));
  sub(
    'import',
    'a ledger from a file, into a place where none is; verified before anything is stored',
    'openexec ledger import ledger.oxl --ledger sqlite:new.db',
  )
    .argument('[file]', 'what openexec ledger export wrote')
    .option('--prepare', 'only make the place and print its id, for --move --to')
    .option('--trust <fingerprint>', 'the fingerprint that you know from elsewhere: sha256:…')
    .action(context.act((file: string | undefined, options: ImportOptions) => importLedger(context, file, options)));
  withPassphrase(
    sub(
      'erase',
      'payloads of closed runs for good, by a signed erasure; entries and proofs stay',
      'openexec ledger erase 3fa2 --because "asked by the customer"',
    )
      .argument('<what...>', 'runs (id, prefix or latest), or single entries by their index in the ledger')
      .requiredOption('--because <text>', 'why; recorded')
      .option('--rule <name>', 'the rule that it follows; recorded', 'request')
      .option('--key <label>', 'the root or issuer key that signs', 'operator'),
  ).action(context.act((what: string[], options: EraseOptions) => erase(context, what, options)));
  sub('prune', 'payloads of runs that closed long ago, by a written rule', 'openexec ledger prune --rule retention.yaml --dry-run')
    .requiredOption('--rule <file>', 'YAML: version, name, keepDays (180 at least), because, keep')
    .option('--dry-run', 'say what would go')
    .action(context.act((options: PruneOptions) => prune(context, options)));
  sub('fsck', 'derive everything again from the entries and compare', 'openexec ledger fsck --repair')
    .option('--repair', 'put right what is derived, remove blobs that nothing names; never an entry')
    .option('--tiles <folder>', 'make every tile of this folder again too and compare')
    .action(context.act((options: FsckOptions) => fsck(context, options)));
  sub('backup', 'a copy of the files as of one moment, while others write', 'openexec ledger backup /backup/ledger.db')
    .argument('<file>', 'a file that is not there yet; large blobs go to a folder "blobs" beside it')
    .action(context.act((file: string, options: LedgerOption) => backUp(context, file, options)));
}

function whole(text: string, what: string): Result<bigint, Refusal> {
  const number = parseDecimal(text);
  return number.ok ? number : refuse('usage.invalid', `${what} is a whole number from 0 on, not ${JSON.stringify(text)}`);
}

/** Never replaces a pin: another fingerprint at the same place is what a pin is there to find. */
async function pin(context: CommandContext, fingerprint: string, options: LedgerOption): Promise<CommandResult> {
  const wanted = parseDigest(fingerprint);
  if (!wanted.ok) return refuse('usage.invalid', 'a fingerprint is sha256: and 64 lower-case hex digits');
  return withLedger(context, { ledger: options.ledger }, async (opened) => {
    if (opened.fingerprint !== wanted.value)
      return refuse('ledger.otherFingerprint', `the ledger here has fingerprint ${opened.fingerprint}, not ${wanted.value}`);
    if (opened.pinned === null) {
      mkdirSync(context.places.state, { recursive: true, mode: 0o711 });
      mkdirSync(opened.stateFolder, { recursive: true, mode: 0o711 });
      const written = writePin(context.places.user, opened.path, wanted.value);
      if (!written.ok) return refuse('config.invalid', written.error.message);
    }
    context.output.result(
      `pinned  ${wanted.value}\n  at ${safeLine(opened.path)}; openexec key new --export-public FILE makes a key for it`,
    );
    return ok(EXIT.ok);
  });
}

async function info(context: CommandContext, options: InfoOptions): Promise<CommandResult> {
  return withLedger(context, { ledger: options.ledger }, async (opened) => {
    const { store } = opened;
    const head = await store.head();
    const vkeys = await logKeys(store);
    if (!vkeys.ok) return vkeys;
    const families = new Map<string, number>();
    for await (const { trajectory } of store.trajectories()) {
      const family = trajectory.split('/', 1)[0] ?? trajectory;
      families.set(family, (families.get(family) ?? 0) + 1);
    }
    let checkpoints = 0;
    let newest: bigint | null = null;
    for await (const { size } of store.checkpoints()) {
      checkpoints += 1;
      newest = size;
    }
    const facts: CliDocument<'ledger-info'> = {
      v: 1,
      path: opened.path,
      origin: head.origin,
      fingerprint: head.fingerprint,
      pinned: opened.pinned,
      size: head.size,
      root: `sha256:${toHex(head.root)}` as Digest, // 32 bytes of SHA-256.
      logKeys: vkeys.value,
      trajectories: Object.fromEntries(families),
      checkpoints: { kept: checkpoints, newest },
      instance: await store.keeper.instance(),
      successor: await store.keeper.successor(),
      ...(options.growth === true ? { growth: await growthOf(store) } : {}),
    };
    const { output } = context;
    if (options.json === true) output.json('ledger-info', facts);
    else {
      const trust =
        facts.pinned === null
          ? 'self-asserted: this ledger is not pinned here'
          : facts.pinned === facts.fingerprint
            ? 'pinned'
            : 'another ledger is pinned here';
      for (const [name, value] of [
        ['place', facts.path],
        ['origin', facts.origin ?? 'none'],
        ['fingerprint', facts.fingerprint ?? 'none'],
        ['trust', trust],
        ['size', `${facts.size}`],
        ['root', facts.root],
        ...facts.logKeys.map((key) => ['log key', key] as const),
        ['trajectories', [...families].map(([family, count]) => `${count} ${family}`).join(', ')],
        ['instance', facts.instance],
        ...(facts.successor === null
          ? []
          : [['sealed', facts.successor === facts.instance ? 'no: moved to this store' : `moved to ${facts.successor}`] as const]),
        ['checkpoints', newest === null ? 'none' : `${checkpoints}, the newest of size ${newest}`],
      ] as const)
        output.result(`${name.padEnd(13)} ${safeLine(value)}`);
      for (const line of growthLines(facts.growth)) output.result(line);
    }
    return ok(EXIT.ok);
  });
}

function growthLines(growth: { readonly [kind: string]: Growth } | undefined): string[] {
  return Object.entries(growth ?? {}).map(
    ([kind, each]) =>
      `  ${kind.padEnd(22)} ${String(total(each)).padStart(12)} bytes  ${each.entries} entries ${each.entryBytes}, payloads ${each.payloadBytes}, ${each.blobs} blobs ${each.blobBytes}`,
  );
}

async function read(context: CommandContext, options: ReadOptions): Promise<CommandResult> {
  const from = whole(options.from, '--from');
  if (!from.ok) return from;
  const limit = options.limit === undefined ? ok(null) : whole(options.limit, '--limit');
  if (!limit.ok) return limit;
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const { output } = context;
    const { size } = await store.head();
    const end = limit.value === null || from.value + limit.value > size ? size : from.value + limit.value;
    for await (const stored of store.all(from.value, end)) {
      const { entry, index, leaf, payload, salt } = stored;
      const text = payload === null ? null : utf8Decode(payload);
      if (options.jsonl === true) {
        const bytes = utf8Decode(stored.entryBytes);
        output.jsonLine('ledger-entry', {
          v: 1,
          index,
          leaf,
          entry: bytes.ok ? bytes.value : null,
          payload: text?.ok === true ? text.value : null,
          salt: salt === null ? null : toHex(salt),
        });
      } else {
        const state = payload === null ? '  (payload erased)' : readEvent(stored).event === null ? '  (payload not of its schema)' : '';
        output.result(`${String(index).padStart(6)}  ${entry.at}  ${entry.trajectory} ${entry.seq}  ${entry.kind}${state}`);
      }
    }
    return ok(EXIT.ok);
  });
}

async function checkpoint(context: CommandContext, options: LedgerOption): Promise<CommandResult> {
  return withLedger(context, { ledger: options.ledger, access: 'write' }, async ({ store }) => {
    const made = await store.checkpoint();
    if (!made.ok) return readRefusal(made.error);
    context.output.result(made.value.note.trimEnd());
    return ok(EXIT.ok);
  });
}

async function prove(context: CommandContext, index: string, options: TilesOption): Promise<CommandResult> {
  const at = whole(index, 'the position of an entry');
  if (!at.ok) return at;
  if (options.tiles !== undefined) return printed(context, await proveFromTiles(context, options.tiles, at.value));
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const proof = await proveEntry(store, at.value);
    if (!proof.ok) return proof;
    context.output.result(proof.value.trimEnd());
    context.output.progress(`entry ${index} stands in the tree; the proof was checked`);
    return ok(EXIT.ok);
  });
}

function printed(context: CommandContext, proof: Result<string, Refusal>): CommandResult {
  if (!proof.ok) return proof;
  context.output.result(proof.value.trimEnd());
  context.output.progress('the proof was read from the tiles and checked against the checkpoint beside them');
  return ok(EXIT.ok);
}

async function consistency(context: CommandContext, from: string, to: string, options: TilesOption): Promise<CommandResult> {
  const oldSize = whole(from, 'a tree size');
  if (!oldSize.ok) return oldSize;
  const newSize = whole(to, 'a tree size');
  if (!newSize.ok) return newSize;
  if (options.tiles !== undefined)
    return printed(context, await consistencyOfTiles(context, options.tiles, { oldSize: oldSize.value, newSize: newSize.value }));
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const proof = await proveConsistency(store, oldSize.value, newSize.value);
    if (!proof.ok) return proof;
    context.output.result(proof.value.trimEnd());
    context.output.progress(`the tree of ${to} continues the tree of ${from}; the proof was checked`);
    return ok(EXIT.ok);
  });
}
