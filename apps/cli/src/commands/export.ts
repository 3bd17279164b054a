/**
 * `openexec export [RUN…] --out PATH`: an audit bundle, a folder or one tar file, that strangers check with their own tools (CLI.md, PROTOCOL §11).
 */
import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { type Bytes, type Digest, ok, parseDecimal, type Result, type TrajectoryId } from '@openexec/canon';
import { knownKinds } from '@openexec/ledger';
import type { BundleOrder, Withholding } from '@openexec/audit';
import type { StoredCheckpoint } from '@openexec/ledger';
import type { Signer } from '@openexec/proof';
import type { BundleScope } from '@openexec/verify';
import { inspectRepository, readBlob, type RepositoryFacts } from '@openexec/workspace';
import { type NotedCommit, noteBundle } from '../bundle/note.ts';
import { openPlaces } from '../anchors/places.ts';
import { exportBundle, type Exported } from '../bundle/out.ts';
import { witnessedCheckpoint } from '../bundle/witnessed.ts';
import type { CommandContext, CommandResult, OpenLedger, Register } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { keysFolder, loadSigners } from '../keyring.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { familyOf } from '../read/family.ts';
import { withLedger } from '../read/guard.ts';
import { logKeys } from '../read/proofs.ts';

interface ExportOptions {
  readonly out: string;
  readonly range?: string;
  readonly checkpoint?: string;
  readonly since?: readonly string[];
  readonly withhold?: readonly string[];
  readonly governed?: boolean;
  readonly timestamp?: string | true;
  readonly reports: boolean;
  readonly note?: string;
  readonly witnessed?: boolean;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** A larger file is left out of patches in any case. */
const MAX_BASE_FILE_BYTES = 4 * 1024 * 1024;
const RANGE = /^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$/;
const BLOB = /^blob:([a-z]+\/[A-Za-z0-9.+-]*|\*)$/;

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('export')
    .description('write an audit bundle: the whole ledger, or runs with everything that proves them')
    .argument('[run...]', 'runs (id, prefix or latest); left out: the whole ledger')
    .requiredOption('--out <path>', 'a folder that is not there yet, or a file that ends in .tar')
    .option('--range <from-to>', 'instead of runs: leaf indexes from FROM up to, not including, TO')
    .option('--checkpoint <size>', 'prove under this kept checkpoint and not under the present tree head')
    .option(
      '--witnessed',
      'prove under the newest checkpoint that witnesses have cosigned (with --checkpoint: under that one), with their cosignatures',
    )
    .option('--since <size...>', 'also prove that the tree continues the kept checkpoints of these sizes')
    .option('--withhold <what...>', 'keep back payloads of an event kind, or blobs by media type: model.answered, blob:text/plain, blob:*')
    .option('--governed', 'refuse unless every run ran under a passed self-test and without an undeclared effect')
    .option('--timestamp [name]', 'RFC 3161 times over checkpoint and statement, by the configured authority (of this name)')
    .option('--no-reports', 'leave out what is made from the entries: reports for people and tools, patches')
    .option(
      '--note <where>',
      'a git note on each commit that the runs landed, for openexec verify-change: "git" keeps the bundle in the repository, else the path at which the gate will find it',
    )
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec export latest --out change.tar\n  openexec export latest --out change.tar --governed --note git\n  openexec export --out audit/ --since 120\n  openexec export 3f2a --out shared/ --withhold model.answered blob:text/plain',
    )
    .action(context.act((runs: readonly string[], options: ExportOptions) => run(context, runs, options)));
};

async function run(context: CommandContext, wanted: readonly string[], options: ExportOptions): Promise<CommandResult> {
  const withhold = readWithholding(options.withhold ?? []);
  if (!withhold.ok) return withhold;
  const path = isAbsolute(options.out) ? options.out : resolve(context.cwd, options.out);
  if (existsSync(path)) return refuse('file.exists', `"${safeLine(path)}" is there already`);
  if (options.note !== undefined && !path.endsWith('.tar'))
    return refuse('usage.invalid', '--note points at one file: give --out a name that ends in .tar');
  return withLedger(context, { ledger: options.ledger, access: 'write' }, async (ledger) => {
    const scope = await scopeOf(context, ledger, wanted, options.range);
    if (!scope.ok) return scope;
    const order = await orderOf(context, ledger, { scope: scope.value, withhold: withhold.value, options });
    if (!order.ok) return order;
    const made = await exportBundle(ledger.store, order.value, { path: path.replace(/\/+$/, ''), fingerprint: ledger.fingerprint });
    if (!made.ok) return made;
    const noted = options.note === undefined ? ok([]) : await noteBundle(context, { exported: made.value, path, where: options.note });
    if (!noted.ok) return noted;
    if (options.json === true) context.output.json('export', documentOf(made.value, path, noted.value));
    else for (const line of lines(made.value, { path, fingerprint: ledger.fingerprint, noted: noted.value })) context.output.result(line);
    return ok(EXIT.ok);
  });
}

async function scopeOf(
  context: CommandContext,
  { store }: OpenLedger,
  wanted: readonly string[],
  range: string | undefined,
): Promise<Result<BundleScope, Refusal>> {
  if (range !== undefined) {
    const [, from = '', to = ''] = RANGE.exec(range) ?? [];
    if (to === '' || wanted.length > 0)
      return refuse('usage.invalid', '--range takes FROM-TO, two leaf indexes, and stands instead of runs');
    return ok({ is: 'range', from: Number(from), to: Number(to) });
  }
  if (wanted.length === 0) return ok({ is: 'ledger' });
  const runs = new Set<TrajectoryId>();
  for (const each of wanted) {
    const found = await context.findRun(store, each);
    if (!found.ok) return found;
    for (const member of (await familyOf(store, found.value)).runs) if ((await store.trajectory(member)) !== null) runs.add(member);
  }
  return ok({ is: 'runs', runs: [...runs].sort() });
}

async function orderOf(
  context: CommandContext,
  ledger: OpenLedger,
  { scope, withhold, options }: { readonly scope: BundleScope; readonly withhold: Withholding; readonly options: ExportOptions },
): Promise<Result<BundleOrder, Refusal>> {
  const since: bigint[] = [];
  for (const text of options.since ?? []) {
    const size = parseDecimal(text);
    if (!size.ok) return refuse('usage.invalid', `--since takes sizes of kept checkpoints, not "${safeLine(text, 40)}"`);
    since.push(size.value);
  }
  const checkpoint =
    options.witnessed === true
      ? await witnessedCheckpoint(ledger.store, options.checkpoint)
      : await checkpointOf(ledger, options.checkpoint);
  if (!checkpoint.ok) return checkpoint;
  const vkeys = await logKeys(ledger.store);
  if (!vkeys.ok) return vkeys;
  const signer = signerOf(ledger);
  if (!signer.ok) return signer;
  const stamp = await stampOf(context, ledger, options.timestamp);
  if (!stamp.ok) return stamp;
  if (options.governed === true && scope.is !== 'runs') return refuse('usage.invalid', '--governed is said of runs: name them');
  return ok({
    scope,
    checkpoint: checkpoint.value,
    vkeys: vkeys.value,
    since,
    withhold,
    governed: options.governed === true,
    signer: signer.value,
    reports: options.reports ? { baseFile: baseFiles(context) } : null,
    stamp: stamp.value,
    more: [],
    onProgress: progress(context),
  });
}

/** The authority among the anchors of this ledger: the one of this name, or the only one. */
async function stampOf(
  context: CommandContext,
  ledger: OpenLedger,
  wanted: string | true | undefined,
): Promise<Result<BundleOrder['stamp'], Refusal>> {
  if (wanted === undefined) return ok(null);
  const project = await context.project();
  const settings = openPlaces(context, { fingerprint: ledger.fingerprint, project: project.ok ? project.value : null });
  if (!settings.ok) return settings;
  const authorities = settings.value.places.filter(({ stamp }) => stamp !== null);
  const named = authorities.filter(({ anchor }) => wanted === true || anchor.name === wanted);
  const [only, ...others] = named;
  if (only !== undefined && others.length === 0) return ok(only.stamp);
  const names = authorities.map(({ anchor }) => anchor.name).join(', ');
  if (names === '') return refuse('anchor.notConfigured', 'no anchor of type rfc3161 is configured for this ledger');
  return refuse('usage.invalid', `--timestamp takes the name of one authority; there are ${safeLine(names)}`);
}

/** Files of a base out of the repository around, where there is one: the ledger holds of a base nothing but git ids. */
function baseFiles(context: CommandContext): (oid: string) => Promise<Bytes | null> {
  let around: Promise<RepositoryFacts | null> | null = null;
  const find = async (): Promise<RepositoryFacts | null> => {
    const project = await context.project();
    const repository = project.ok ? await inspectRepository(project.value.root) : null;
    return repository?.ok === true ? repository.value : null;
  };
  return async (oid) => {
    around ??= find();
    const repository = await around;
    const file = repository === null ? null : await readBlob(repository, oid, MAX_BASE_FILE_BYTES);
    return file?.ok === true ? file.value : null;
  };
}

function progress(context: CommandContext): (entries: number) => void {
  let said = 0;
  return (entries) => {
    if (entries - said < 50_000) return;
    said = entries;
    context.output.progress(`${entries} entries read`);
  };
}

async function checkpointOf({ store }: OpenLedger, wanted: string | undefined): Promise<Result<StoredCheckpoint, Refusal>> {
  if (wanted === undefined) {
    const made = await store.checkpoint();
    return made.ok ? made : { ok: false, error: storeRefusal(made.error) };
  }
  const kept: bigint[] = [];
  for await (const checkpoint of store.checkpoints()) {
    if (`${checkpoint.size}` === wanted) return ok(checkpoint);
    kept.push(checkpoint.size);
  }
  return refuse(
    'usage.invalid',
    `no checkpoint of size ${safeLine(wanted, 40)} is kept; the latest are of ${kept.slice(-8).join(', ') || 'none'}`,
  );
}

function signerOf({ stateFolder }: OpenLedger): Result<Signer, Refusal> {
  const signers = loadSigners(keysFolder(stateFolder));
  return signers.ok ? ok(signers.value.logSigner) : signers;
}

/** Event kinds and media types; whatever is neither is an error, so that nothing goes out by a slip of the pen. */
function readWithholding(wanted: readonly string[]): Result<Withholding, Refusal> {
  const kinds = new Set<string>();
  const types: string[] = [];
  const known = new Set<string>(knownKinds());
  for (const each of wanted) {
    const [, type] = BLOB.exec(each) ?? [];
    if (type !== undefined) types.push(type === '*' ? '' : type);
    else if (known.has(each)) kinds.add(each);
    else return refuse('usage.invalid', `--withhold takes an event kind, or blob: and a media type; "${safeLine(each, 80)}" is neither`);
  }
  return ok({ payload: ({ kind }) => kinds.has(kind), blob: (mediaType) => types.some((type) => mediaType.startsWith(type)) });
}

function documentOf({ built, report }: Exported, path: string, noted: readonly NotedCommit[]) {
  return {
    v: 1 as const,
    exit: EXIT.ok,
    path,
    fingerprint: built.statement.ledger,
    size: `${built.size}`,
    root: built.statement.root,
    manifest: built.statement.manifest,
    scope: report.scope,
    entries: built.entries,
    parts: report.counts.parts,
    blobs: built.blobs,
    withheld: { payloads: built.withheldPayloads, blobs: built.withheldBlobs },
    gone: { payloads: report.counts.erased, blobs: built.goneBlobs },
    runs: [...built.statement.runs],
    noted: [...noted],
  };
}

function lines(
  { built, report }: Exported,
  { path, fingerprint, noted }: { readonly path: string; readonly fingerprint: Digest; readonly noted: readonly NotedCommit[] },
): string[] {
  const { statement, withheldPayloads, withheldBlobs, goneBlobs } = built;
  const held = withheldPayloads + withheldBlobs === 0 ? [] : [`withheld  ${withheldPayloads} payloads, ${withheldBlobs} blobs`];
  const gone =
    report.counts.erased + goneBlobs === 0
      ? []
      : [`gone      ${report.counts.erased} payloads erased, ${goneBlobs} blobs not in the ledger any more`];
  return [
    `bundle    ${safeLine(path)}`,
    `holds     ${built.entries} of ${built.size} entries, ${report.counts.parts} parts, ${built.blobs} blobs`,
    ...statement.runs.map(
      ({ run, outcome, commit, governed }) =>
        `run       ${shortRun(run)} ${outcome}${commit === null ? '' : `, git commit ${commit}`}${governed ? ', governed' : ''}`,
    ),
    ...held,
    ...gone,
    `checked   every part, as a stranger would: sound`,
    `  openexec verify-bundle ${safeLine(path)} --trust ${fingerprint}`,
    ...noted.map(({ commit }) => `noted     ${commit}\n  openexec verify-change ${commit} --trust ${fingerprint}`),
    ...(noted.length === 0 ? [] : [`  git push origin 'refs/notes/openexec*'`]),
  ];
}
