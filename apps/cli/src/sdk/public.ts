/**
 * The SDK as its users see it: every type and the three functions, without an import, so that this very text is the package's `sdk.d.ts`. The
 * implementation is compiled against it, and a test holds its copies of inner types against the originals. Must never hold a value.
 */

/** A value, or why there is none. Expected failures are never thrown. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: OpenExecFailure };

/** Why something was not done: the rows of the table in docs/reference/exit-codes.md. */
export interface OpenExecFailure {
  /** Stable, such as `workspace.dirty`. A code, once published, never changes its meaning. */
  readonly code: string;
  /** The exit code that the command would end with. */
  readonly exit: number;
  /** Where in the work it arose. */
  readonly where: string;
  /** What is wrong, with names from outside escaped for a terminal. */
  readonly message: string;
  /** What a person does next. */
  readonly remedy: string;
}

/** What is thrown where a failure has no other way out: out of an iteration. Anything else that is thrown is a defect. */
export interface OpenExecError extends Error {
  readonly failure: OpenExecFailure;
}

/** JSON as the ledger holds it. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** The part of an `AbortSignal` that is used. */
export interface AbortLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

// ---- events

/** One event of a ledger, as `openexec timeline --jsonl` prints it; version 1. */
export interface LedgerEvent {
  readonly v: 1;
  /** The trajectory: `run/…`, `law` or another. */
  readonly run: string;
  /** Position in the trajectory, from 0 without a gap. */
  readonly seq: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string;
  readonly kind: string;
  /** Position in the ledger, a decimal. Give it back as `after` to go on behind this event. */
  readonly cursor: string;
  readonly class: 'fact' | 'judgement';
  readonly actor: string;
  /** For a judgement: `seq` of the fact that it judges. */
  readonly cause: number | null;
  readonly law: number | null;
  /** Null where the payload was erased. */
  readonly body: Json | null;
}

// ---- models

/** A wish to stop; once stopped it stays so. `onStop` returns how to take the listener off. */
export interface StopSignal {
  readonly stopped: boolean;
  onStop(listener: () => void): () => void;
}

/** One provider-neutral message, already redacted and recorded. */
export type ModelMessage =
  | { readonly role: 'system' | 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly answer: NeutralAnswer }
  | { readonly role: 'tool'; readonly call: string; readonly text: string };

/** A tool as shown to a model; `parameters` is JSON Schema. */
export interface ToolDeclaration {
  readonly name: string;
  readonly description: string;
  readonly parameters: Json;
}

/** One question to one model, complete in itself. `timeoutMs` counts from the call to the last byte. */
export interface ModelRequest {
  readonly ask: string;
  readonly model: string;
  readonly messages: readonly ModelMessage[];
  readonly tools: readonly ToolDeclaration[];
  readonly maxOutputTokens: number;
  readonly timeoutMs: number;
  /** Stage, its visit and the turn within it, from 1; never for a provider. */
  readonly stage: string;
  readonly visit: number;
  readonly turn: number;
}

/** What a model said. `arguments` is raw text: it is parsed strictly where it is judged. */
export interface NeutralAnswer {
  readonly text: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly finish: 'stop' | 'calls' | 'length' | 'refusal' | 'other';
}

/** A settled ask. */
export interface ModelAnswer {
  readonly answer: NeutralAnswer;
  /** Null where the provider reported none: the reservation is then settled in full. */
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number } | null;
  /** The exact response body as received. */
  readonly raw: Uint8Array;
}

/** Why an ask has no answer. */
export interface ModelFailure {
  readonly code:
    | 'model.unauthorized'
    | 'model.rateLimited'
    | 'model.timeout'
    | 'model.unreachable'
    | 'model.malformed'
    | 'model.refused'
    | 'model.server'
    | 'model.stopped'
    | 'model.exhausted';
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly status: number | null;
  readonly raw: Uint8Array | null;
}

/**
 * Asks one model once: settles with a value whatever a provider or the network does, never retries, never persists, keeps the deadline. What it
 * throws is recorded as `model.unreachable`.
 */
export interface ModelAdapter {
  /** Name under which prices and ledger know the provider: a lower-case word that is none of openexec's own. */
  readonly provider: string;
  /** Answers one question, or says why not. A stop, before or during, is `model.stopped`; no message holds a key. */
  ask(
    request: ModelRequest,
    stop: StopSignal,
  ): Promise<{ readonly ok: true; readonly value: ModelAnswer } | { readonly ok: false; readonly error: ModelFailure }>;
}

/** A model that the program brings along. */
export interface OwnModel {
  readonly adapter: ModelAdapter;
  /** What the ledger calls the model, 1 to 128 characters. */
  readonly name: string;
  /** `host:port` that the adapter asks, written into the writ; left out or null where it stays on this machine. */
  readonly host?: string | null;
  /** At most what the configuration allows. */
  readonly maxOutputTokens?: number;
}

// ---- runs

/** What waits for a decision: the exact content, by the rule that asked. */
export interface ApprovalRequest {
  readonly request: string;
  readonly run: string;
  readonly action: string;
  readonly rule: string;
  readonly because: string;
  /** The difference, command or arguments that a vote signs. Text from outside: escape it before it reaches a terminal. */
  readonly content: string;
  /** RFC 3339: after this no vote counts. */
  readonly until: string;
}

/** What is to be done, where, by which model, within which bounds. Everything left out comes from the checkout's configuration. */
export interface StartOptions {
  /** A folder in the checkout; `openexec init` was run there. */
  readonly repository: string;
  readonly task: string;
  readonly blueprint?: string;
  /** `openai:NAME`, `scripted:FILE`, or an adapter of your own. */
  readonly model?: string | OwnModel;
  /** Files of policies that narrow this run. */
  readonly policy?: string | readonly string[];
  /**
   * What happens where policy asks for a person: `never` denies at once, `park` (the default) rests the run until `openexec approve`, a function
   * decides now, and its yes or no is signed with the operator's key; `later` parks the run.
   */
  readonly approve?: 'never' | 'park' | ((request: ApprovalRequest) => Promise<'approve' | 'deny' | 'later'>);
  /** Bounds that only narrow what the configuration says. */
  readonly budget?: { readonly usd?: number; readonly tokens?: number; readonly calls?: number };
  /** Skills that narrow this run, in the order in which they are bound: files in `.openexec/skills` by name, or paths relative to the checkout. */
  readonly skills?: readonly string[];
  /** Values of their parameters; each goes to every skill that has it, and one that none has is refused. */
  readonly skillParams?: { readonly [key: string]: string };
  /** Why the model was chosen, by whatever chose it: a file, or the evidence itself. Recorded, exported by `openexec model routes`, read by nothing that decides. */
  readonly routing?: string | { readonly [member: string]: Json };
  /** Revision to start from; left out: HEAD, and a checkout with changes is refused. */
  readonly base?: string;
  /** File of a signed writ, instead of one by the operator key. */
  readonly writ?: string;
  /** Aborted: the run comes to rest as soon as it may (exit 130) and can be resumed. */
  readonly signal?: AbortLike;
  /** Called with each event once it is durable, in order. What it throws is thrown away: an observer decides nothing. */
  readonly onEvent?: (event: LedgerEvent) => void;
  /** The environment: API keys, places. Left out: that of the process, read at the call. */
  readonly env?: { readonly [name: string]: string | undefined };
}

/** How a drive ended. */
export interface RunResult {
  readonly v: 1;
  /** `run/…`. */
  readonly run: string;
  /** `done`, `failed`, `cancelled`, `denied` or `exhausted`; `parked` and `stopped` can go on. */
  readonly status: string;
  /** The exit code of `openexec run`. */
  readonly exit: number;
  /** The name of that exit code: `ok`, `failed`, `denied`, `waiting`, `approvalDenied`, `exhausted`, `provider`, `timeout`, `interrupted`, … */
  readonly meaning: string;
  readonly because: { readonly code: string; readonly message: string } | null;
  /** The open request that the run waits for, or null. */
  readonly request: string | null;
  readonly spend: { readonly tokens: number; readonly usdMicros: number; readonly calls: number };
  /** Branch, commit and tree of the result; null where there is none. */
  readonly branch: string | null;
  readonly commit: string | null;
  readonly tree: string | null;
  /** Size of the signed tree head made at the end, a decimal, or null. */
  readonly checkpoint: string | null;
  /** What did not stop the run, but that its caller should know. */
  readonly warnings: readonly string[];
}

/** A run that was started. Nothing of it is lost when nobody looks: everything is in the ledger. */
export interface StartedRun {
  /** The run's name, as soon as it is open; null where it never was. */
  readonly run: Promise<string | null>;
  /** Settles when the run is closed, rests or could not be opened; never rejects. */
  readonly result: Promise<Outcome<RunResult>>;
  /** The run's events from the first, read from the ledger as fast as they are asked for; ends with the drive. May be iterated more than once. */
  readonly events: AsyncIterable<LedgerEvent>;
  /** The same, behind a cursor. */
  eventsAfter(cursor: string): AsyncIterable<LedgerEvent>;
  /** Stops the run for good; resolves when that is settled. */
  cancel(because?: string): Promise<Outcome<RunResult>>;
}

/** Starts one governed run in this process. Several may run at once, each in its own checkout or in the same. */
export declare function startRun(options: StartOptions): StartedRun;

// ---- reading

/** Which ledger: that of a checkout, a file, or one named as `--ledger` does: `sqlite:PATH`, `postgres://HOST/DATABASE`. */
export type LedgerPlace = ({ readonly repository: string } | { readonly path: string } | { readonly ledger: string }) & {
  /** The environment, for the places of pins and head files. Left out: that of the process. */
  readonly env?: { readonly [name: string]: string | undefined };
};

/** One run in a line. */
export interface RunListing {
  readonly run: string;
  readonly openedAt: string;
  readonly lastAt: string;
  readonly status: 'done' | 'failed' | 'cancelled' | 'denied' | 'exhausted' | 'parked' | 'open';
  readonly task: string | null;
  readonly branch: string | null;
  readonly commit: string | null;
  readonly tree: string | null;
  readonly spend: { readonly tokens: number; readonly usdMicros: number; readonly calls: number } | null;
  /** Of its opening. */
  readonly cursor: string;
}

/** A ledger open for reading. Iterations throw an `OpenExecError` where the file is damaged. */
export interface OpenedLedger {
  /** Real path of the file, or the address without user and password. */
  readonly path: string;
  /** `sha256:…`, the ledger's name for ever. */
  readonly fingerprint: string;
  /** Whether this user pinned that fingerprint for this place. */
  readonly pinned: boolean;
  /** Number of entries, a decimal. */
  size(): Promise<string>;
  /** All runs, the latest first. */
  runs(): Promise<Outcome<readonly RunListing[]>>;
  /** The run that a word names: its name, at least four digits of its id, or `latest`. */
  findRun(wanted: string): Promise<Outcome<string>>;
  /** Events in ledger order: all, or of one run; behind a cursor; with `follow` also those to come, until the run is closed or `signal` is aborted. */
  events(options?: {
    readonly run?: string;
    readonly after?: string;
    readonly follow?: boolean;
    readonly signal?: AbortLike;
  }): AsyncIterable<LedgerEvent>;
  /** The bytes of a blob by its digest; null where the ledger has none of that name, or no longer. */
  blob(digest: string): Promise<Uint8Array | null>;
  close(): Promise<void>;
}

/** Opens a ledger for reading; refuses one that is rolled back or is not the one pinned. */
export declare function openLedger(place: LedgerPlace): Promise<Outcome<OpenedLedger>>;

// ---- verifying

/** The verdict: the document that `openexec verify --json` prints. */
export interface VerifyReport {
  readonly v: 1;
  /** 0 sound (and agreeing), 20 not sound, 21 a judgement differs, 22 an anchor is required and none is fresh. */
  readonly exit: number;
  readonly sound: boolean;
  readonly level: 'chained' | 'signed' | 'anchored' | 'witnessed' | null;
  readonly trust: 'pinned' | 'selfAsserted';
  readonly anchor: 'fresh' | 'stale' | 'notConfigured';
  readonly entries: number;
  readonly origin: string | null;
  readonly fingerprint: string | null;
  readonly root: string;
  readonly signatures: number;
  readonly checkpoints: number;
  readonly erased: number;
  readonly blobs: { readonly named: number; readonly sound: number; readonly erased: number };
  /** Index of the first entry at fault. */
  readonly firstBad: number | null;
  readonly findings: readonly { readonly index: number | null; readonly code: string; readonly message: string }[];
  readonly omitted: number;
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
  /** Null unless `deep` was asked for and the ledger is sound. */
  readonly deep: {
    readonly totals: { readonly runs: number; readonly facts: number; readonly judgements: number; readonly divergences: number };
    readonly runs: readonly {
      readonly run: string;
      readonly verdict: 'agrees' | 'diverges' | 'notDerivable';
      readonly judgements: number;
      readonly divergences: readonly {
        readonly index: string;
        readonly seq: number;
        readonly what: string;
        readonly expected: string | null;
        readonly recorded: string | null;
      }[];
    }[];
  } | null;
}

/** Verifies a ledger. An unsound one is a report, not an error; an error is a ledger that is not there or cannot be opened as one. */
export declare function verifyLedger(
  place: LedgerPlace & {
    /** The fingerprint that you know from elsewhere. */
    readonly trust?: string;
    /** Derive every judgement again. */
    readonly deep?: boolean;
    /** With `deep`: only this run. */
    readonly run?: string;
  },
): Promise<Outcome<VerifyReport>>;
