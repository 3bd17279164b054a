/**
 * What every command is given: the environment, output, time, chance, the project and its ledger. Adapters are built here and nowhere else.
 * Must never hold a rule of the domain (ARCHITECTURE §3 floor 8).
 */
import type { Clock, Digest, Randomness, Result, TrajectoryId } from '@openexec/canon';
import type { StopSignal } from '@openexec/catalogue';
import type { KeptLedger, LedgerStore } from '@openexec/ledger';
import type { Places } from '@openexec/config';
import type { Snapshots } from '@openexec/runtime';
import type { ExitCode, Refusal } from './exit.ts';
import type { Output } from './output.ts';

/** The checkout a command works in, before any of its files is read. */
export interface Project {
  /** Top folder of the checkout, absolute. */
  readonly root: string;
  /** `<root>/.openexec`. */
  readonly folder: string;
  /** Where configuration and state of this user live. */
  readonly places: Places;
}
/** Where a ledger is. `name` is shown, and pins go by it: a real path, or an address without user and password. */
export type LedgerPlace =
  | { readonly kind: 'sqlite'; readonly name: string; readonly path: string }
  | {
      readonly kind: 'postgres';
      readonly name: string;
      /** Secret where it holds a password. */
      readonly address: string;
      /** Only files of the repository name it: nothing is sent there before the user has pinned it. */
      readonly guest: boolean;
    }
  | {
      readonly kind: 'eventstore';
      readonly name: string;
      /** Secret where it holds a password. */
      readonly address: string;
      /** Where payloads are: an address of Postgres, secret where it holds a password, or the path of a file. */
      readonly companion: string;
      readonly guest: boolean;
    };

/** An open ledger and what the user's own configuration says of it. */
export interface OpenLedger {
  readonly store: KeptLedger;
  /** Real path of the file, or the address of the place without user and password: what is shown, and what pins go by. */
  readonly path: string;
  /** Where it is, for leases. */
  readonly place: LedgerPlace;
  readonly fingerprint: Digest;
  /** The fingerprint that is pinned for this place, or null: trust is then self-asserted. */
  readonly pinned: Digest | null;
  /** `<state>/<32 hex of the fingerprint>`: keys, head file, run workspaces, leases of this ledger. */
  readonly stateFolder: string;
  /** Folds of long runs; null where this installation has kept none. */
  readonly snapshots: Snapshots | null;
  close(): Promise<void>;
}
/** Which ledger a command wants, and how. */
export interface LedgerChoice {
  /** A ledger of its own choice, in the words of `--ledger`; left out: what the call, the environment or the files name, else that of the checkout. */
  readonly ledger?: string | undefined;
  /**
   * Default `read`. `write` needs the keys of this ledger and a pinned fingerprint. `append` needs the pin only: for facts that carry their own
   * signature, by people whose machine neither drives runs nor signs tree heads.
   */
  readonly access?: 'read' | 'write' | 'append';
}

/** What the action of a command comes to. */
export type CommandResult = Result<ExitCode, Refusal>;

/** What governing a run needs of the machine around it, whoever asks for it: a command or a program that uses the SDK. */
export interface Surroundings {
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** Folder of the files that ship with the command (`assets/`), absolute. */
  readonly assets: string;
  /** Where configuration and state of this user live. */
  readonly places: Places;
  /** The ledger that this call names by `--ledger`. */
  readonly ledger?: string | undefined;
  /** The companion store that this call names by `--companion`. */
  readonly companion?: string | undefined;
}

/** What every command is given. */
export interface CommandContext extends Surroundings {
  readonly output: Output;
  /** Whether a person can be asked: both streams are terminals and CI is not set. */
  readonly interactive: boolean;
  /** Version of the command. */
  readonly version: string;
  /**
   * Turns work into an action for commander: prints a refusal (code, message, what to do; as JSON on stdout under `--json`), sets the exit code.
   * A throw of `work` is `internal.fault`.
   */
  act<A extends unknown[]>(work: (...args: A) => Promise<CommandResult>): (...args: A) => Promise<void>;
  /** Takes over `--ledger` and `--companion`, before the command works. */
  nameLedger(url: string | undefined, companion: string | undefined): void;
  /** The checkout around `cwd`; refuses outside a repository. */
  project(): Promise<Result<Project, Refusal>>;
  /** Opens the ledger of the checkout, or the one named; checks the pin and the head file. Close it before the command ends. */
  openLedger(choice?: LedgerChoice): Promise<Result<OpenLedger, Refusal>>;
  /** The run that `wanted` names: a full trajectory, its id, a prefix of at least 4 hex digits, or `latest`. */
  findRun(store: LedgerStore, wanted: string): Promise<Result<TrajectoryId, Refusal>>;
  /** From now on an interrupt asks for a clean stop; a second one ends the process at once. */
  stopOnInterrupt(): StopSignal;
}

/** Adds one command to the program. */
export type Register = (program: import('commander').Command, context: CommandContext) => void;
