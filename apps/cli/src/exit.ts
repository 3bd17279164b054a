/**
 * How the command ends: the exit codes, and the one closed table of refusals (code, exit, where, what to do). Must never hold a message that
 * depends on data; a refusal's message comes with it. CLI.md "Exit codes", MECHANICS part 2 "refusals".
 */
import { err, type Json } from '@openexec/canon';

/** Every exit code of the command (CLI.md). */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  denied: 10,
  waiting: 11,
  approvalDenied: 12,
  exhausted: 13,
  sandbox: 14,
  selfTest: 15,
  integrity: 20,
  diverged: 21,
  anchor: 22,
  provider: 30,
  timeout: 124,
  interrupted: 130,
} as const;
/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

interface RefusalRow {
  readonly exit: ExitCode;
  /** Where in the work it arises. */
  readonly where: string;
  /** What a person does next. */
  readonly remedy: string;
}

const SEE_STATUS = 'git status shows the repository as it is';

/** All refusals. A code, once published, never changes its meaning. */
export const REFUSALS = {
  // usage and configuration
  'usage.invalid': { exit: 2, where: 'command line', remedy: 'openexec COMMAND --help shows the options and an example' },
  'config.missing': { exit: 2, where: 'configuration', remedy: 'openexec init writes one' },
  'config.invalid': { exit: 2, where: 'configuration', remedy: 'correct the file at the line given' },
  'config.testMissing': {
    exit: 2,
    where: 'configuration',
    remedy: 'set commands.test in .openexec/config.yaml, for example: test: {argv: [npm, test]}',
  },
  'config.lintMissing': {
    exit: 2,
    where: 'configuration',
    remedy: "set commands.lint in .openexec/config.yaml, or lint: 'none' to record that there is none",
  },
  'config.formatMissing': {
    exit: 2,
    where: 'configuration',
    remedy: "set commands.format in .openexec/config.yaml, or format: 'none' to record that there is none",
  },
  'config.typecheckMissing': {
    exit: 2,
    where: 'configuration',
    remedy: "set commands.typecheck in .openexec/config.yaml, or typecheck: 'none' to record that there is none",
  },
  'config.buildMissing': {
    exit: 2,
    where: 'configuration',
    remedy: "set commands.build in .openexec/config.yaml, or build: 'none' to record that there is none",
  },
  'config.modelMissing': {
    exit: 2,
    where: 'configuration',
    remedy: 'name a model: --model openai:NAME, or model: in .openexec/config.yaml',
  },
  'config.priceMissing': {
    exit: 2,
    where: 'configuration',
    remedy: 'add the price of the model under models.PROVIDER.pricing, or leave the limit in dollars out',
  },
  'config.scopeMissing': {
    exit: 2,
    where: 'configuration',
    remedy: 'declare them: --write FOLDER/**, or paths.write in .openexec/config.yaml',
  },
  'blueprint.unknown': {
    exit: 2,
    where: 'configuration',
    remedy: 'openexec blueprint list shows the blueprints of this checkout; a file in .openexec/blueprints makes another',
  },
  'blueprint.invalid': { exit: 2, where: 'configuration', remedy: 'correct the blueprint at the line given' },
  'policy.invalid': { exit: 2, where: 'configuration', remedy: 'correct the policy at the line given' },
  'skill.invalid': {
    exit: 2,
    where: 'configuration',
    remedy: 'correct the skill at the line given; openexec skill check FILE looks at it alone',
  },
  'skill.unknown': {
    exit: 2,
    where: 'configuration',
    remedy: 'openexec skill list shows the skills of this checkout; a file is named by its path',
  },
  'routing.invalid': {
    exit: 2,
    where: 'command line',
    remedy: 'correct the evidence; schemas/routing-plan.schema.json says what it holds',
  },
  'routing.mismatch': {
    exit: 2,
    where: 'command line',
    remedy: 'ask the model that the evidence selected (--model), or leave the evidence out',
  },
  'skill.params': { exit: 2, where: 'command line', remedy: 'openexec skill show NAME lists the parameters; give --skill-param KEY=VALUE' },
  'policy.tampered': {
    exit: 20,
    where: 'policy',
    remedy: 'nothing was adopted: get the signed bundle again from whoever signed it; openexec policy show FILE says what does not hold',
  },
  'policy.otherLedger': {
    exit: 2,
    where: 'policy',
    remedy: 'nothing was adopted: have the bundle signed for this ledger; openexec ledger info shows its fingerprint',
  },
  'policy.untrusted': {
    exit: 2,
    where: 'policy',
    remedy: 'nothing was adopted: a policy or root key of this ledger has to sign it; openexec key list shows them',
  },
  'policy.replayed': {
    exit: 2,
    where: 'policy',
    remedy: 'nothing was adopted: a signed bundle counts once; have it signed again with openexec policy sign',
  },
  'writ.wider': { exit: 2, where: 'writ', remedy: 'a child is nowhere wider than its parent: narrow the dimension that is named' },
  'writ.notInForce': { exit: 10, where: 'writ', remedy: 'openexec writ verify FILE says what the law has against it; issue another' },
  'secret.recorded': {
    exit: 2,
    where: 'configuration',
    remedy: 'take the secret out of what the message names: rename the file, give the command its secret another way, then commit',
  },
  'writ.invalid': { exit: 2, where: 'writ', remedy: 'give a signed writ of this ledger whose subject is the runtime key' },
  'model.unknownProvider': { exit: 2, where: 'model', remedy: 'name a model as PROVIDER:NAME' },
  'model.invalid': { exit: 2, where: 'model', remedy: 'correct the model options or the script' },
  'model.keyMissing': { exit: 30, where: 'model', remedy: 'set the API key of the provider in the environment' },
  'model.testFailed': {
    exit: 30,
    where: 'model',
    remedy: 'look at the code at the beginning: the key, the address, the name of the model, or the network',
  },
  // keys and ledger
  'key.missing': {
    exit: 2,
    where: 'keys',
    remedy: 'openexec init makes the keys of this ledger; keys of another machine have to be brought here first',
  },
  'key.unsafe': { exit: 2, where: 'keys', remedy: 'make the key readable by its owner only: chmod 600 FILE, chmod 700 FOLDER' },
  'key.exists': { exit: 2, where: 'keys', remedy: 'openexec key list shows the keys that are there' },
  'key.inUse': {
    exit: 2,
    where: 'keys',
    remedy: 'finish or cancel what the message names, or give --overlap: both keys count until openexec key retire takes the old one',
  },
  'key.malformed': { exit: 2, where: 'keys', remedy: 'bring back the key file from a copy; openexec key list shows what can be read' },
  'key.locked': { exit: 2, where: 'keys', remedy: 'this key works without a person: take its passphrase off with openexec key passwd' },
  'passphrase.missing': {
    exit: 2,
    where: 'keys',
    remedy: 'run at a terminal, or give --passphrase-fd N or --passphrase-file FILE',
  },
  'passphrase.wrong': {
    exit: 2,
    where: 'keys',
    remedy: 'try again; a lost passphrase cannot be brought back: retire the key and make another',
  },
  'passphrase.weak': { exit: 2, where: 'keys', remedy: 'take a longer passphrase, or --no-passphrase where the file alone is enough' },
  'passphrase.unsafe': { exit: 2, where: 'keys', remedy: 'make the file readable by you only: chmod 600 FILE' },
  'law.refused': { exit: 2, where: 'law', remedy: 'nothing was changed; openexec key list and openexec writ list show what is in force' },
  'ledger.missing': { exit: 2, where: 'ledger', remedy: 'openexec init founds a ledger in this repository' },
  'ledger.unpinned': {
    exit: 2,
    where: 'ledger',
    remedy:
      'openexec ledger pin FINGERPRINT trusts it, with the fingerprint from whoever founded it; openexec init does where its keys are here',
  },
  'ledger.newer': { exit: 2, where: 'ledger', remedy: 'install a newer openexec' },
  'ledger.otherFingerprint': {
    exit: 20,
    where: 'ledger',
    remedy: 'this is not the ledger that was pinned: bring back the right file, or look at what replaced it',
  },
  'ledger.rolledBack': { exit: 20, where: 'ledger', remedy: 'the file is older than what was acknowledged: bring back the newer file' },
  'ledger.corrupt': { exit: 20, where: 'ledger', remedy: 'openexec verify names the first bad entry; bring back an intact copy' },
  'ledger.url': {
    exit: 2,
    where: 'ledger',
    remedy:
      'give --ledger sqlite:PATH, postgres://HOST/DATABASE, postgres: with the address in DATABASE_URL, or esdb://HOST with --companion',
  },
  'ledger.refused': {
    exit: 2,
    where: 'ledger',
    remedy:
      'correct user, password (PGPASSWORD, ~/.pgpass; OPENEXEC_EVENTSTORE_USER, OPENEXEC_EVENTSTORE_PASSWORD) or TLS, then try again; nothing was changed',
  },
  'ledger.notDurable': {
    exit: 2,
    where: 'ledger',
    remedy: 'take away the setting that the message names (the store would lose what it acknowledged), then try again; nothing was written',
  },
  'ledger.unreachable': {
    exit: 1,
    where: 'ledger',
    remedy: 'look whether the server runs and can be reached; what was acknowledged is there, openexec resume RUN goes on',
  },
  'ledger.readOnly': {
    exit: 2,
    where: 'ledger',
    remedy:
      'nothing was stored: make what the message names writable for this user (owner, mode, mount; for a role INSERT and UPDATE), then try again',
  },
  'ledger.denied': {
    exit: 2,
    where: 'ledger',
    remedy: 'nothing was changed: work as the user that the ledger belongs to, or give this one the right to use it (chown, chmod; GRANT)',
  },
  'ledger.busy': {
    exit: 1,
    where: 'ledger',
    remedy: 'nothing was stored: wait until the other process is done, then try again; openexec resume RUN goes on with a run',
  },
  'ledger.full': { exit: 1, where: 'ledger', remedy: 'free disk space, then openexec resume RUN' },
  'ledger.failed': { exit: 1, where: 'ledger', remedy: 'openexec doctor looks at the ledger and the disk' },
  'ledger.sealed': { exit: 2, where: 'ledger', remedy: 'go on where it moved to; openexec ledger info shows the store that goes on' },
  'ledger.notEmpty': { exit: 2, where: 'ledger', remedy: 'import into a place where no ledger is: --ledger sqlite:PATH' },
  'import.refused': { exit: 20, where: 'ledger', remedy: 'nothing was imported: bring the file again, or export it again at the source' },
  'forget.refused': {
    exit: 2,
    where: 'ledger',
    remedy: 'nothing was forgotten; openexec runs and openexec ledger read show what is there',
  },
  'fsck.failed': {
    exit: 20,
    where: 'ledger',
    remedy: 'openexec ledger fsck --repair puts right what is derived; for entries bring back an intact copy',
  },
  'file.exists': { exit: 2, where: 'files', remedy: 'give another name, or remove the file' },
  'file.unwritable': { exit: 1, where: 'files', remedy: 'give a place that can be written' },
  // anchors
  'anchor.notConfigured': {
    exit: 2,
    where: 'anchors',
    remedy: 'name a place under anchors.to in your own configuration; openexec config show --origin shows the files',
  },
  'anchor.failed': { exit: 22, where: 'anchors', remedy: 'look at the place named, then run openexec ledger anchor again' },
  'anchor.conflict': {
    exit: 20,
    where: 'anchors',
    remedy: 'this ledger is not what was shown there: keep both as evidence, and bring back the ledger that continues it',
  },
  'tiles.failed': { exit: 20, where: 'tiles', remedy: 'write the tiles anew with openexec ledger tiles --out DIR, from an intact ledger' },
  'witness.key': { exit: 2, where: 'witness', remedy: 'openexec witness --key FILE --new-key NAME makes one; its owner alone may read it' },
  'witness.unavailable': { exit: 1, where: 'witness', remedy: 'look at the folder and the address; one witness at a time uses a folder' },
  // catalogue
  'action.unknown': { exit: 2, where: 'catalogue', remedy: 'openexec action list names the actions' },
  // runs
  'run.unknown': { exit: 2, where: 'run', remedy: 'openexec runs lists the runs of this ledger' },
  'run.ambiguous': { exit: 2, where: 'run', remedy: 'give more of the id' },
  'resource.unknown': {
    exit: 2,
    where: 'world',
    remedy: 'openexec show RUN names what was changed; openexec world prove shows an absence as well',
  },
  'run.busy': { exit: 2, where: 'run', remedy: 'another process drives this run: wait for it, or stop it with openexec cancel RUN' },
  'run.closed': { exit: 2, where: 'run', remedy: 'openexec show RUN shows how it ended' },
  'rewind.unknown': { exit: 2, where: 'rewind', remedy: 'openexec rewind RUN lists the stage entries to go back to' },
  'rewind.external': {
    exit: 2,
    where: 'rewind',
    remedy: 'choose a stage entry after that effect; openexec timeline RUN shows where it was started',
  },
  'rewind.visits': { exit: 2, where: 'rewind', remedy: 'choose another stage entry, or go on with openexec resume RUN' },
  'rewind.tooMany': { exit: 2, where: 'rewind', remedy: 'rewind to a later entry first, then further back' },
  'rewind.ending': { exit: 2, where: 'rewind', remedy: 'openexec resume RUN lets the run end' },
  'run.notLanded': { exit: 2, where: 'run', remedy: 'only a run that is done has a result to apply' },
  'clock.behind': { exit: 2, where: 'clock', remedy: 'set the clock of this machine (date shows it), then run again' },
  'run.failed': { exit: 1, where: 'run', remedy: 'openexec timeline RUN shows what happened' },
  'approval.unknown': { exit: 2, where: 'approval', remedy: 'openexec approvals lists the open requests' },
  'approval.ambiguous': { exit: 2, where: 'approval', remedy: 'give more of the id' },
  'approval.refused': { exit: 12, where: 'approval', remedy: 'openexec approvals lists the open requests and who may decide' },
  // hands
  'sandbox.unavailable': { exit: 14, where: 'sandbox', remedy: 'openexec doctor says what is missing and how to get it' },
  'workspace.notARepository': { exit: 2, where: 'repository', remedy: 'run inside a git checkout with a commit' },
  'workspace.dirty': { exit: 2, where: 'repository', remedy: 'commit or stash the changes, or start from the commit with --base HEAD' },
  'workspace.objectMissing': { exit: 2, where: 'repository', remedy: 'make a first commit, or fetch what is missing' },
  'workspace.pathRefused': { exit: 2, where: 'repository', remedy: 'rename or remove the file named, and commit' },
  'workspace.quota': { exit: 2, where: 'repository', remedy: 'make the commit smaller: generated and large files do not belong into it' },
  'workspace.conflict': {
    exit: 1,
    where: 'repository',
    remedy: 'nothing was changed: merge the branch by hand with git merge, or start the run again from the present commit',
  },
  'workspace.refExists': { exit: 1, where: 'repository', remedy: SEE_STATUS },
  'workspace.failed': { exit: 1, where: 'workspace', remedy: 'openexec doctor looks at the state folder and the disk' },
  'selfTest.failed': {
    exit: 15,
    where: 'self-test',
    remedy: 'nothing was run: what must be refused was not. openexec self-test shows every check; install openexec again, or report it',
  },
  // checks
  'verify.failed': { exit: 20, where: 'verification', remedy: 'keep the file as evidence and bring back an intact copy' },
  'replay.diverged': { exit: 21, where: 'replay', remedy: 'the divergence is listed; compare the versions of kernel and policy' },
  'replay.stageUnknown': {
    exit: 2,
    where: 'replay',
    remedy: 'openexec timeline RUN shows the stages that were entered, each with its visit',
  },
  'replay.nothing': {
    exit: 2,
    where: 'replay',
    remedy: 'another mode has something to compare: openexec replay RUN judges the recorded facts again',
  },
  'replay.stopped': { exit: 130, where: 'replay', remedy: 'nothing was recorded; start the replay again' },
  'golden.invalid': {
    exit: 2,
    where: 'golden runs',
    remedy: 'openexec golden add RUN --name NAME writes one; --dir names the folder that holds them',
  },
  'bundle.unreadable': { exit: 2, where: 'audit bundle', remedy: 'name the folder or the tar file that openexec export wrote' },
  'bundle.refused': { exit: 20, where: 'audit bundle', remedy: 'keep it as evidence, and ask whoever made it for an intact one' },
  'bundle.ungoverned': {
    exit: 1,
    where: 'audit bundle',
    remedy: 'without --governed it is exported with what it lacks stated; openexec timeline RUN shows effects that were not declared',
  },
  'gate.notConfigured': {
    exit: 2,
    where: 'release gate',
    remedy:
      'put trust: [FINGERPRINT] into .openexec/gate.yaml of the base, or give --trust FINGERPRINT; openexec ledger info shows it where the ledger is',
  },
  'change.empty': {
    exit: 2,
    where: 'release gate',
    remedy: 'name the commit that is to be released, or BASE..COMMIT with a base that lies before it',
  },
  // the rest
  interrupted: { exit: 130, where: 'process', remedy: 'openexec resume RUN goes on' },
  'internal.fault': {
    exit: 1,
    where: 'openexec itself',
    remedy: 'please report it with the message; the ledger holds what was acknowledged',
  },
} as const satisfies { readonly [code: string]: RefusalRow };
/** A row of {@link REFUSALS}. */
export type RefusalCode = keyof typeof REFUSALS;

/** Why a command does not do what was asked. `message` says what and where; the table adds what to do. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
  /** What a program wants to read apart from the message: `error.details` of the JSON document. */
  readonly details?: Json;
}

/** A refusal as a failed result. */
export function refuse(code: RefusalCode, message: string, details?: Json): { readonly ok: false; readonly error: Refusal } {
  return err(details === undefined ? { code, message } : { code, message, details });
}

/** The refusal for an error of a library: its own code where the table has it, else `otherwise`. */
export function refusalFor(error: { readonly code: string; readonly message: string }, otherwise: RefusalCode): Refusal {
  const known = Object.hasOwn(REFUSALS, error.code);
  // Just checked against the table.
  return { code: known ? (error.code as RefusalCode) : otherwise, message: error.message };
}
