/**
 * One audit bundle as a gate takes it: verified as a stranger would, judged again, and read only then. Must never read what is not sound, nor what is
 * of a ledger that nobody named (PROTOCOL §§10, 11).
 */
import { bundleSource, deepVerify, type HeadFacts, landedRuns, type RunFacts } from '@openexec/audit';
import { type Digest, utf8Decode } from '@openexec/canon';
import { judgeByPolicy, parseTlogPolicy } from '@openexec/proof';
import { type BundleParts, type BundleReport, CHECKPOINT, DESCRIPTION, LOG_VKEY, parseDescription, verifyBundle } from '@openexec/verify';
import { openBundle } from '@openexec/verify/files';
import { exitOf } from '../commands/verifyBundle.ts';
import { EXIT } from '../exit.ts';
import type { Candidate } from './candidates.ts';
import type { Gate } from './rules.ts';

/** What is wrong with a bundle. */
interface BundleWrong {
  readonly part: string;
  readonly code: string;
  readonly message: string;
}
/** A bundle after everything that could be checked of it was. */
export interface CheckedBundle {
  readonly name: string;
  readonly state: 'absent' | 'refused' | 'untrusted' | 'unsound' | 'diverged' | 'sound';
  readonly report: BundleReport | null;
  readonly wrong: readonly BundleWrong[];
  /** Of a sound one, the runs that landed something. */
  readonly runs: readonly RunFacts[];
  readonly head: HeadFacts | null;
}
/** Commits and trees that are looked for, where a bundle holds more runs than are read. */
export interface Wanted {
  readonly commits: ReadonlySet<string>;
  readonly trees: ReadonlySet<string>;
}

/** Runs up to which a bundle is read whole. */
const ALL_RUNS = 256;
const MAX_NOTE_BYTES = 1024 * 1024;

/** Checks one bundle. */
export async function checkBundle(candidate: Candidate, gate: Gate, wanted: Wanted): Promise<CheckedBundle> {
  const { name, path, refused } = candidate;
  const none = { name, report: null, runs: [], head: null };
  if (path === null) return { ...none, state: 'absent', wrong: [] };
  if (refused !== null) return { ...none, state: 'refused', wrong: [{ part: name, code: 'bundle.digest', message: refused }] };
  const opened = await openBundle(path);
  if (!opened.ok) {
    const { code, part, message } = opened.error;
    return { ...none, state: code === 'bundle.unreadable' ? 'absent' : 'refused', wrong: [{ code, part, message }] };
  }
  try {
    return await check(opened.value.parts, { candidate, gate, wanted });
  } finally {
    await opened.value.close();
  }
}

interface Work {
  readonly candidate: Candidate;
  readonly gate: Gate;
  readonly wanted: Wanted;
}

async function check(parts: BundleParts, { candidate, gate, wanted }: Work): Promise<CheckedBundle> {
  const { name, run } = candidate;
  const claimed = await ledgerOf(parts);
  // Which of the trusted ledgers it says to be of; a bundle of none of them is held against the first, and found to be another's.
  const trust = gate.trust.find((each) => each === claimed) ?? gate.trust[0] ?? null;
  const report = await verifyBundle(parts, { trust, policy: null, since: null });
  const none = { name, report, runs: [], head: null };
  if (!report.sound) {
    const state = report.findings.some(({ code }) => code === 'ledger.untrusted') ? ('untrusted' as const) : ('unsound' as const);
    return { ...none, state, wrong: report.findings };
  }
  const view = bundleSource(parts);
  const deep = await deepVerify(view);
  const exit = exitOf({ report, deep });
  if (exit !== EXIT.ok) {
    const message = `${deep.totals.divergences} judgements differ when they are derived again; openexec verify-bundle --deep lists them`;
    const state = exit === EXIT.diverged ? ('diverged' as const) : ('unsound' as const);
    return { ...none, state, wrong: [{ part: 'events.jsonl', code: 'bundle.diverged', message }] };
  }
  const few = report.runs.filter(({ commit }) => commit !== null).length <= ALL_RUNS;
  const runs = await landedRuns(view, {
    stated: report.runs,
    deep,
    wanted: (each) => few || each.run === run || wanted.commits.has(each.commit ?? '') || wanted.trees.has(each.tree ?? ''),
  });
  return { ...none, state: 'sound', wrong: [], runs, head: await headOf(parts, gate) };
}

async function ledgerOf(parts: BundleParts): Promise<Digest | null> {
  const bytes = await partOf(parts, DESCRIPTION);
  const description = bytes === null ? null : parseDescription(bytes);
  return description?.ok === true ? description.value.ledger : null;
}

/** What is said of the tree head by the witnesses that the rules name; of the bundle's own parts, which were found sound. */
async function headOf(parts: BundleParts, { rules }: Gate): Promise<HeadFacts> {
  const bytes = await partOf(parts, DESCRIPTION);
  const description = bytes === null ? null : parseDescription(bytes);
  const coverage = description?.ok === true ? description.value.coverage : 'gatewayOnly';
  const none: HeadFacts = { coverage, witnessed: false, cosignedAtMs: null };
  const policy = rules.witnesses === null ? null : parseTlogPolicy(rules.witnesses);
  const [note, vkey] = [await textOf(parts, CHECKPOINT), await textOf(parts, LOG_VKEY)];
  if (policy?.ok !== true || note === null || vkey === null) return none;
  const judged = judgeByPolicy(note, policy.value, [vkey.trimEnd()]);
  if (!judged.ok || !judged.value.met || judged.value.cosignatures.length === 0) return none;
  const youngest = judged.value.cosignatures.reduce((latest, { time }) => (time > latest ? time : latest), 0n);
  return { coverage, witnessed: true, cosignedAtMs: Number(youngest) * 1000 };
}

async function textOf(parts: BundleParts, path: string): Promise<string | null> {
  const bytes = await partOf(parts, path);
  const text = bytes === null ? null : utf8Decode(bytes);
  return text?.ok === true ? text.value : null;
}

async function partOf(parts: BundleParts, path: string): Promise<Uint8Array | null> {
  const part = parts.get(path);
  if (part === undefined || part.bytes > LIMITS[path === DESCRIPTION ? 'description' : 'note']) return null;
  const pieces: Uint8Array[] = [];
  for await (const piece of part.read()) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

/** A description names what is withheld, so it may be long; it is read again by the verifier with bounds of its own. */
const LIMITS = { note: MAX_NOTE_BYTES, description: 64 * MAX_NOTE_BYTES } as const;
