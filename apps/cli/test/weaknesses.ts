/**
 * The ranked weaknesses of the second specification, row by row: the tests that show that we do not share each, and what is missing of it. Held against
 * the tests by `acceptanceGroups.test.ts`.
 */
import { cli, contract, type GroupRow, lib, row } from './acceptanceRows.ts';
/** The ranked weaknesses, and the tests that show that they are not shared. */
export const WEAKNESSES: readonly GroupRow[] = [
  row(
    'W1',
    'no trust root, no check of a writ’s chain, writs not in the ledger',
    null,
    lib('authority', 'law.test.ts', 'wants the signature of every root key, and nobody else’s', 'only a root key in force trusts a key'),
    lib('authority', 'writs.test.ts', 'begins with an issuer or root key of the law: nobody else, however well signed'),
    lib(
      'runtime',
      'carvingForged.test.ts',
      'under a chain that is revoked, widened, of the wrong parent or out of its window is found, with the reason',
    ),
    cli(
      'forgedAuthority.heavy',
      'a writ that is forged, widened, put under another parent, in nobody’s name, or by a small-order key is refused with its pinned code, and opens nothing',
    ),
  ),
  row(
    'W2',
    'entries that are no commits are bound to no position and can be deleted',
    null,
    lib(
      'verify',
      'verify.test.ts',
      'deleting, swapping, repeating and cutting off entries is found',
      'two neighbours that changed places are found at the first of them',
    ),
    lib('audit', 'deep.test.ts', 'with a judgement left out is found where it is missing'),
  ),
  row(
    'W3',
    'approvals by anybody, unrecorded, not checked when the action runs',
    null,
    lib(
      'kernel',
      'approvals.test.ts',
      'adopted policy in between: the action is asked again, and the first approval starts nothing',
      'a writ revoked while people decide stops it at the very end',
      'it is used up: the same call asked for again is a request of its own',
    ),
    cli(
      'forgedAuthority.heavy',
      'by a stranger, a runtime key, for another digest, run, request or ledger, expired or changed after signing is recorded, counts for nothing, and starts nothing',
      'is refused by the command with its pinned code: a stranger, a key without the role, the runtime, twice, and late',
    ),
  ),
  row(
    'W4',
    'a header that goes round the token, tenants that are not checked',
    'there is no HTTP server yet; a writ’s tenant is one of its dimensions',
    lib('authority', 'writs.test.ts', 'is refused when wider in %s: %j'),
  ),
  row(
    'W5',
    'a hash of the world that does not hold on real worlds',
    null,
    lib(
      'proof',
      'suites/sparse.ts',
      'has the root of the definition, in whatever order it was filled',
      'no altered proof leads to the root',
    ),
    lib('kernel', 'stages.test.ts', 'is committed with the root of the world that follows, which every later commit builds on'),
    lib('audit', 'deep.test.ts', 'with another world root in a commit is found at that commit'),
  ),
  row(
    'W6',
    'effects without a journal: a crash leaves no trace',
    null,
    lib(
      'runtime',
      'drive.test.ts',
      'goes from its opening to a closed run with a checkpoint, and every effect has a durable start before it',
    ),
    cli('acceptance', 'does not change a file whose change it could not record beforehand, and goes on once it can be written again'),
    cli('run', 'by SIGKILL goes on where it was: resumed, it ends as if nothing had happened'),
  ),
  row(
    'W7',
    'ids that collide across runs',
    null,
    lib('authority', 'writs.test.ts', 'of one writ counts, and names its run by issuer and nonce'),
    cli('sdk', 'two runs at once in one process come to their results; their events are those of the timeline, behind any cursor'),
  ),
  row(
    'W8',
    'a writ cannot say that external effects are allowed where work is started',
    null,
    cli(
      'writs',
      'that grants less than the work needs ends the run with a denial that names what is missing',
      'is issued, shown, verified and used once, and the run does what it grants',
    ),
  ),
  row(
    'W9',
    'going on with, going back in and auditing a failed run are broken',
    null,
    lib(
      'runtime',
      'rewind.test.ts',
      'goes back, says what it put back, leaves the run parked with its tree made again, and it goes on from there',
    ),
    lib('audit', 'deep.test.ts', 'of a run that is still open ends where it stands; of a run that is not there is null'),
    cli('approvals', 'that is denied at the landing ends the run with 12 and lands nothing'),
  ),
  row(
    'W10',
    'a policy digest without the content, a language that lets through what it does not understand',
    null,
    lib(
      'policy',
      'policy.test.ts',
      'a set is compiled once and frozen, and its digest covers everything it says',
      'that permits applies only when true; unknown stands in the trace and grants nothing',
    ),
    lib('audit', 'deep.test.ts', 'a run judged under law that was not in force any more is found'),
  ),
  row(
    'W11',
    'ways out of the sandbox by shell, network and manifests',
    'actions of HTTP and of manifests are not built, so nothing goes out through them',
    lib('workspace', 'sandbox.test.ts', '%s: %s is blocked inside and works outside'),
    lib('workspace', 'attackTable.test.ts', 'every probe of the table is run, and every probe that is run is in the table'),
  ),
  row(
    'W12',
    'redaction by the names of keys in observations only',
    null,
    lib('workspace', 'redaction.test.ts', 'any known value, anywhere, in any chunks, is replaced and nothing else is'),
    cli('secrets', 'invariant 10: no file, name, object, cell, output or request holds any of them'),
  ),
  row(
    'W13',
    'what a model costs is not held against the budget',
    null,
    cli('run', 'asks no model that its budget does not cover: 13, and the provider hears nothing'),
    lib(
      'runtime',
      'budgets.model.test.ts',
      'property: over any history, no writ gives more than it was granted, and the model of a few lines agrees',
    ),
  ),
  row(
    'W14',
    'a delegation whose child nobody runs, with half of the budget each time',
    null,
    lib(
      'runtime',
      'delegate.test.ts',
      'costs its parent the call and what the child spent, no more; what was handed out and not spent comes back',
      'that wishes %s opens nothing',
    ),
    cli(
      'delegate',
      'opens a child that works in a tree of its own; its change enters the parent by a patch of the parent and in no other way',
    ),
    lib('runtime', 'carve.test.ts', 'carves from every writ above the run, and each may be the one that has too little left'),
  ),
  row(
    'W15',
    'revocation and quorum in memory only, and of one level',
    null,
    lib('runtime', 'carve.test.ts', 'falls whole with any writ of it, stops a run that is open, and stands again once restored'),
    cli('law', 'waits through a kill -9 of whoever drove: given by another person with another state folder, the run goes on'),
    cli(
      'forgedAuthority.heavy',
      'is narrowed offline, runs, is spent at every step, falls with its middle and stands again; deep verification folds its spending',
    ),
  ),
  row(
    'W16',
    'anchors without proofs of inclusion and consistency',
    null,
    contract('readingRules', 'every leaf is proved in, and every size continued by, later sizes'),
    lib(
      'proof',
      'suites/merkle.ts',
      'are those of the RFC, read exactly the listed subtrees, and verify, for every leaf of every small tree',
      'a rewritten history has no proof that leads to both roots',
    ),
  ),
  row(
    'W17',
    'appends that are not atomic',
    null,
    contract('appendRules', 'a refusal in the last part stores nothing of the parts before it'),
    contract('repeatRules', 'a batch of which only a part is there already is a conflict'),
    lib('stores', 'crash.test.ts', 'a batch is never half there: the length it was appended with is the length that is stored'),
  ),
];
