/**
 * The acceptance groups and the ranked weaknesses of the second specification, row by row: the tests that prove each here, and what is missing of it.
 * Must name a test for every row, or say plainly why there is none. `acceptanceGroups.test.ts` holds it against the tests.
 */

/** A test: its file from the repository's root, and its title as it stands there. */
export interface ProvenBy {
  readonly file: string;
  readonly title: string;
}
/** One group or weakness. `missing` is null where nothing of it is; without tests it says why. */
export interface GroupRow {
  readonly id: string;
  readonly what: string;
  readonly tests: readonly ProvenBy[];
  readonly missing: string | null;
}

const cli = (file: string, ...titles: readonly string[]): readonly ProvenBy[] =>
  titles.map((title) => ({ file: `apps/cli/test/${file}.test.ts`, title }));
const lib = (name: string, file: string, ...titles: readonly string[]): readonly ProvenBy[] =>
  titles.map((title) => ({ file: `libs/${name}/test/${file}`, title }));
const contract = (file: string, ...titles: readonly string[]): readonly ProvenBy[] =>
  titles.map((title) => ({ file: `libs/ledger/src/contract/${file}.ts`, title }));
const row = (id: string, what: string, missing: string | null, ...tests: readonly (readonly ProvenBy[])[]): GroupRow => ({
  id,
  what,
  tests: tests.flat(),
  missing,
});

/** The acceptance groups A1 to A27. */
export const GROUPS: readonly GroupRow[] = [
  row(
    'A1',
    'ids follow from content and from nothing else',
    null,
    lib('canon', 'suites/digests.ts', 'the digest of a JSON value is the digest of its canonical bytes'),
    lib('canon', 'suites/canonical.ts', 'it does not depend on the order of members', 'what it writes is what parseCanonical reads'),
    lib(
      'authority',
      'writs.test.ts',
      'is refused when anything in it was changed after signing, in any member',
      'every member of what is approved changes its digest',
    ),
  ),
  row(
    'A2',
    'a proposal is staged, suspended or rejected, each recorded whole',
    'routing evidence is not recorded yet, so nothing shows that it leaves ids alone',
    lib('kernel', 'approvals.test.ts', 'one vote is counted and nothing starts; the second starts exactly what was asked'),
    lib('kernel', 'compile.test.ts', 'or let through at step 11: the same call, lawful, starts exactly once'),
    lib(
      'audit',
      'deep.test.ts',
      'with a verdict turned round is found at that very entry, with both values and the places in which they differ',
    ),
  ),
  row(
    'A3',
    'an older or strange form refuses to parse, and says so',
    null,
    contract(
      'appendRules',
      'a body that its schema refuses, or that has no JSON form, is refused',
      'unknown kinds, kinds of another family, unknown and reserved trajectories are refused',
    ),
    lib('ledger', 'entry.test.ts', 'what is read is what writing would have made: no other bytes are an entry'),
    lib('authority', 'law.test.ts', 'the registry only rises, and not above what this reader knows'),
  ),
  row(
    'A4',
    'a writ: good verifies, tampered, wrong signer, wider or out of window does not',
    null,
    lib(
      'authority',
      'writs.test.ts',
      'is refused when anything in it was changed after signing, in any member',
      'begins with an issuer or root key of the law: nobody else, however well signed',
      'counts within its windows, both ends included, and each ancestor’s',
      'of one writ counts, and names its run by issuer and nonce',
      'is refused when wider in %s: %j',
      'a sum stays at the end of the safe integers; taking more than there is throws',
    ),
    cli(
      'forgedAuthority',
      'a writ that is forged, widened, put under another parent, in nobody’s name, or by a small-order key is refused with its pinned code, and opens nothing',
    ),
  ),
  row(
    'A5',
    'commits are signed by a key that held the role there',
    null,
    contract(
      'judgementRules',
      'signs run.closed over the entry and the fingerprint, and no other entry',
      'a store without it writes the same entries unsigned',
    ),
    lib(
      'verify',
      'verify.test.ts',
      'a key counts only in its role, inside its window, and not after it was retired',
      'a chain made anew without the key is found by checkpoints, by signed entries, and by the law',
    ),
    cli(
      'rotation',
      'is rotated between two runs: each commit counts by the key that held the role there, and one moved behind the retirement does not',
    ),
  ),
  row(
    'A6',
    'secrets do not reach the ledger',
    null,
    cli('secrets', 'invariant 10: no file, name, object, cell, output or request holds any of them'),
    lib('workspace', 'redaction.test.ts', 'any known value, anywhere, in any chunks, is replaced and nothing else is'),
  ),
  row(
    'A7',
    'skills only narrow, their parameters are checked, a bound one that was changed is found',
    null,
    lib(
      'authority',
      'skills.test.ts',
      'property: lets through exactly what both it and the writ let through, in 10,000 cases, and never more than the writ',
      'an empty list lets nothing through, beside another skill too: nothing un-narrows',
      'take values once, from the list where there is one, and keep other braces',
    ),
    cli(
      'skills',
      'is denied what the skill holds back although writ and policy would allow it, and its instructions reach the model with their parameter',
      'opened by a forger as if no skill had been bound, is found by deep verification',
    ),
  ),
  row(
    'A8',
    'one of two writers at a position wins, and the chain stays whole',
    null,
    contract(
      'appendRules',
      'each expected position is taken where it holds and is a conflict where it does not',
      'of many writers at one position exactly one wins',
    ),
    lib('stores', 'sqlite.test.ts', 'of two processes that race for the same positions exactly one wins each, and both stay in order'),
    lib('stores', 'postgres.test.ts', 'of two processes that race for the same positions exactly one wins each, and both stay in order'),
  ),
  row(
    'A9',
    'entries out of place are refused',
    null,
    contract(
      'appendRules',
      'a run begins with run.opened and has it nowhere else',
      'nothing is taken before ledger.founded, whose leaf hash then is the fingerprint',
      'unknown kinds, kinds of another family, unknown and reserved trajectories are refused',
    ),
    contract('judgementRules', 'a cause must be a fact that stands before it in the same trajectory'),
    lib('verify', 'verify.test.ts', 'deleting, swapping, repeating and cutting off entries is found'),
  ),
  row(
    'A10',
    'the same inputs give the same bytes on every store',
    null,
    lib('stores', 'eventstore.test.ts', 'has the same entries, root and fingerprint in memory, on SQLite, on Postgres and on EventStoreDB'),
    lib('stores', 'postgres.test.ts', 'has the same entries, root and fingerprint on SQLite and on Postgres'),
  ),
  row(
    'A11',
    'a pending approval comes back as it was asked',
    null,
    cli('approvals', 'parks the run with 11, shows the exact patch and rule, is given by another process, and the run goes on to its end'),
    cli('law', 'waits through a kill -9 of whoever drove: given by another person with another state folder, the run goes on'),
  ),
  row(
    'A12',
    'an anchor holds the tree that it saw, and no other',
    null,
    lib(
      'anchors',
      'anchor.contract.ts',
      'another tree of the same size is a conflict, and so is a larger one that grew again from elsewhere',
      'a smaller tree than the one it holds is a conflict, and the larger one stays',
    ),
    lib('proof', 'suites/merkle.ts', 'a rewritten history has no proof that leads to both roots'),
    lib('proof', 'suites/sparse.ts', 'none is 32 zero bytes, one is its leaf, two that part at the last bit are 256 branches deep'),
  ),
  row(
    'A13',
    'replay derives everything again, asks no model and performs nothing, and names what drifted',
    null,
    lib(
      'audit',
      'deep.test.ts',
      'ends at the git tree, commit, branch, world root and spend that the run ended at',
      'opened for another kernel is found at the first judgement',
      'a run judged under law that was not in force any more is found',
      'with any one judgement altered in any one member is found at the first index',
    ),
    cli('demo', 'is sound, but a judgement that the kernel would not make is found: verify --deep and replay exit 21 and say where'),
  ),
  row(
    'A14',
    'every gate stops the action, and its counter stays 0',
    null,
    lib(
      'runtime',
      'gates.test.ts',
      'step %s: %s stops the action, and the hand that would do it is never called',
      'step 11: the same action, lawful, below the threshold, happens exactly once',
    ),
    lib('kernel', 'compile.test.ts', 'at step $step with $code, and nothing is started'),
  ),
  row(
    'A15',
    'a revoked writ starts nothing, nor does anything under it; restored, it counts again',
    null,
    lib('authority', 'writs.test.ts', 'dies with any revoked ancestor and lives again when restored'),
    lib('runtime', 'carve.test.ts', 'falls whole with any writ of it, stops a run that is open, and stands again once restored'),
    cli('writs', 'that is revoked while the run waits starts nothing more, and counts again once restored'),
    cli(
      'forgedAuthority',
      'is narrowed offline, runs, is spent at every step, falls with its middle and stands again; deep verification folds its spending',
    ),
  ),
  row(
    'A16',
    'gates: what cannot be undone, and risk at or above the threshold, ask',
    null,
    lib(
      'runtime',
      'gates.test.ts',
      'step 10: a gate (%s) asks a person, and until then the hand is not called',
      'step 11: the same action, lawful, below the threshold, happens exactly once',
    ),
    lib('kernel', 'approvals.test.ts', 'risk at the threshold asks although policy permits, and the shipped terms exclude the opener'),
  ),
  row(
    'A17',
    'time is injected: inside a window it counts, after it not',
    null,
    lib('authority', 'writs.test.ts', 'counts within its windows, both ends included, and each ancestor’s'),
    lib('authority', 'law.test.ts', 'a window includes both ends and nothing beyond'),
    contract('appendRules', 'a fact earlier than the last one is moved to it; other trajectories are not held back'),
  ),
  row(
    'A18',
    'what cannot be repeated happens at most once for a proposal; what can is repeated',
    null,
    lib(
      'runtime',
      'drive.test.ts',
      'a start that comes back as a duplicate licenses nothing: the driver resumes under a higher epoch',
      'without a lease the later driver wins, the earlier stops, and what cannot be repeated is not',
      'an effect that was cut short is left open, and the resumed run retries it',
    ),
  ),
  row(
    'A19',
    'a quorum is of distinct keys; one denial ends it',
    null,
    lib(
      'kernel',
      'approvals.test.ts',
      'one vote is counted and nothing starts; the second starts exactly what was asked',
      'the same key counts once',
      'one denial ends it, the model is told and the run goes on',
    ),
    lib('authority', 'writs.test.ts', 'add up by distinct keys; the first denial ends it; what comes after the end changes nothing'),
    cli(
      'law',
      'lands with two others who hold their keys under passphrases, and with nobody less: not the opener, not one key twice, not a stranger, not a bare file',
    ),
  ),
  row(
    'A20',
    'compensation: the newest first, once, nothing across what cannot be undone',
    'compensating actions outside the workspace, and across child runs, are not built; a rewind puts the workspace back',
    lib(
      'kernel',
      'rewind.test.ts',
      'puts changed, created and deleted files back in one commit, with versions that go on',
      'can be done again, also back over an earlier rewind; what was undone is no target any more',
      'across an external effect, committed or of unknown outcome; not across one that certainly came to nothing',
    ),
  ),
  row(
    'A21',
    'a child has less than its parent in every dimension, and what it spends is the parent’s',
    'runs that a run opens itself (delegation.opened) are not built; writs narrowed for others to run under are',
    lib('authority', 'writs.test.ts', 'is refused when wider in %s: %j', 'property: what a contained child covers, its parent covers too'),
    lib(
      'runtime',
      'carve.test.ts',
      'is a strict subset at each step: depth falls, and a writ that may not be subdivided or has no depth left has no children',
      'is spent by its children together, never beyond its own budget',
      'spends itself whole when it opens its own run: the children find what that run leaves, and nothing before',
    ),
    lib(
      'runtime',
      'budgets.model.test.ts',
      'property: over any history, no writ gives more than it was granted, and the model of a few lines agrees',
    ),
  ),
  row(
    'A22',
    'model spend is bounded by the writ',
    null,
    cli(
      'run',
      'asks no model that its budget does not cover: 13, and the provider hears nothing',
      'counts dollars by the price that is configured, and keeps to the flag',
    ),
    cli('acceptance', 'a budget that is used up ends the run with 13, and says so'),
  ),
  row(
    'A23',
    'policy: every verdict, combinators, malformed ones refused, signed bundles, digests over content',
    null,
    lib(
      'policy',
      'policy.test.ts',
      'loses to a stricter one of its layer, whatever their order',
      'property: De Morgan holds for every nesting, and every unknown truth names a field',
      'property: whatever JSON comes, it is accepted or refused with a path, never thrown',
      'a set is compiled once and frozen, and its digest covers everything it says',
    ),
    lib(
      'authority',
      'law.test.ts',
      'the latest bundle of each layer is in force, outermost first',
      'is refused without role, blob or shape',
    ),
    cli('run', 'by a policy that narrows it ends with 10, names the rule, and lands nothing'),
  ),
  row(
    'A24',
    'routing evidence is recorded, replay-safe, and never read for authority',
    'routing evidence is not built: no router is asked, and router.planned has no command',
  ),
  row(
    'A25',
    'the loop: ends when the work is done, goes on after a refusal, is bounded, keeps runs apart',
    null,
    lib(
      'kernel',
      'stages.test.ts',
      'ends at the cap of visits, however long the model would go on',
      'of which one is refused: the others go on, and the model hears of each',
    ),
    lib('kernel', 'compile.test.ts', 'more turns than the stage has end it'),
    lib(
      'runtime',
      'drive.test.ts',
      'a writ opens one run',
      'goes from its opening to a closed run with a checkpoint, and every effect has a durable start before it',
    ),
    cli('sdk', 'two runs at once in one process come to their results; their events are those of the timeline, behind any cursor'),
    cli('postgres', 'is founded by init, named by the configuration without user, and carries a run, its proof, its replay and its result'),
  ),
  row('A26', 'the server', 'there is no HTTP server yet; nothing listens'),
  row(
    'A27',
    'tools do not leave the tree, do not guess where a patch goes, and hand words to commands one by one',
    'actions from manifests, of HTTP and of a marketplace are not built',
    lib('kernel', 'compile.test.ts', 'at step $step with $code, and nothing is started'),
    lib(
      'catalogue',
      'patch.test.ts',
      'the stated place wins; elsewhere only a single exact match counts, and it is recorded',
      'one conflict leaves nothing: no edit is returned for the files before it',
    ),
    lib('workspace', 'workspace.test.ts', 'A24: edits beside a swapper'),
    lib(
      'workspace',
      'sandbox.contract.ts',
      'argv arrives word by word, whatever is in it',
      'a profile that was made for another filter, toolchain, path or variable is refused before anything runs',
    ),
  ),
];

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
      'forgedAuthority',
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
      'forgedAuthority',
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
    'delegation.opened is not built: no run opens another; what is promised to several children is spent once',
    lib('runtime', 'carve.test.ts', 'carves from every writ above the run, and each may be the one that has too little left'),
  ),
  row(
    'W15',
    'revocation and quorum in memory only, and of one level',
    null,
    lib('runtime', 'carve.test.ts', 'falls whole with any writ of it, stops a run that is open, and stands again once restored'),
    cli('law', 'waits through a kill -9 of whoever drove: given by another person with another state folder, the run goes on'),
    cli(
      'forgedAuthority',
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
