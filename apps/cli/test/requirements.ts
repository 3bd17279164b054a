/**
 * The expectations of users of today's agents, as data: what is expected, how far it is proven, by which tests, and what is missing. The gate in
 * acceptance.test.ts holds this table against the tests. Must never call proven what no test cites. GOALS §1; STYLE §10.20.
 */

/** A test elsewhere that proves (part of) an expectation: its file from the repository's root, and its title as it stands there. */
export interface Citation {
  readonly file: string;
  readonly title: string;
}
/** One expectation. A proven one lacks nothing; a partial one says what is missing; of a later one nothing is claimed. */
export interface Requirement {
  readonly sentence: string;
  readonly status: 'proven' | 'partial' | 'later';
  readonly cites: readonly Citation[];
  /** What is missing, and the work under which it comes; null for a proven one. */
  readonly missing: string | null;
}

const cli = (file: string, title: string): Citation => ({ file: `apps/cli/test/${file}.test.ts`, title });
const lib = (name: string, file: string, title: string): Citation => ({ file: `libs/${name}/test/${file}.test.ts`, title });
const proven = (sentence: string, ...cites: readonly Citation[]): Requirement => ({ sentence, status: 'proven', cites, missing: null });
const partial = (sentence: string, missing: string, ...cites: readonly Citation[]): Requirement => ({
  sentence,
  status: 'partial',
  cites,
  missing,
});
const later = (sentence: string, missing: string): Requirement => ({ sentence, status: 'later', cites: [], missing });

/** All of them, by id. */
export const REQUIREMENTS: Readonly<Record<string, Requirement>> = {
  E01: partial(
    'a deny is a deny on every path',
    'paths of HTTP, MCP, child runs and hooks come with those adapters, and a canary of the self-test with each',
    cli(
      'policyCanary',
      'holds through reading, through every format of a patch, through deleting, moving and mixing, and the run goes on without it',
    ),
    cli(
      'policyCanary',
      'reaches searches, lists, context packs, commands and their git, and with nobody denying it each of them sees the file',
    ),
    lib('kernel', 'masked', 'a file is masked exactly where reading it by itself would be refused (property)'),
    lib('workspace', 'masked', 'A120: what the profile masks is read in no way, and each way works where nothing is masked'),
    cli('run', 'by the same policy in the repository ends the same way, and a permit in the repository grants nothing'),
    cli('demo', 'show says what was asked, every refusal with its reason, the result and how to check and undo it'),
  ),
  E02: proven(
    'broken configuration stops the run',
    cli('refusals', 'a mistyped key is named with file, line, column and the word that was meant'),
    cli('refusals', 'a missing test command, an unknown blueprint, a broken blueprint and a broken policy are refused'),
  ),
  E03: partial(
    'a failing hook or checker fails closed and is named',
    'the runtime checks itself and fails closed by name; hooks and checkers of others (crash, timeout, garbage, missing file) come with their adapters',
    cli('selfTest', 'whose sandbox lets a probe through opens no run, names it, and ends with 14'),
    cli('selfTest', 'whose probes prove nothing, because they fail unconfined too, opens no run'),
  ),
  E04: proven(
    'approval is for this exact action, once',
    cli('law', 'is worth nothing once the law has changed: the same action is asked about again, under the new rules'),
    cli('law', 'is for one change: another change of the same file is a request of its own'),
    cli('law', 'expires: the vote after it is refused with 12, and the run goes on without the action'),
    cli('approvals', 'counts by a new approver key, not by one without the role, and not a second time'),
    lib('kernel', 'approvals', 'it is used up: the same call asked for again is a request of its own'),
    lib('kernel', 'approvals', 'adopted policy in between: the action is asked again, and the first approval starts nothing'),
  ),
  E05: proven(
    'pending approvals survive a restart',
    cli('approvals', 'parks the run with 11, shows the exact patch and rule, is given by another process, and the run goes on to its end'),
    cli('law', 'waits through a kill -9 of whoever drove: given by another person with another state folder, the run goes on'),
  ),
  E06: proven(
    'nothing runs before confirmation, never twice',
    lib('runtime', 'recovery', 'in window %s, at any of its passages, leaves a run that ends the same'),
    lib('runtime', 'recovery', 'in window %s of what cannot be repeated, the effect is never done twice and the loss is recorded'),
    lib('runtime', 'drive', 'without a lease the later driver wins, the earlier stops, and what cannot be repeated is not'),
  ),
  E07: proven('the model never rates its own risk'),
  E08: proven(
    'undo restores the files and the conversation',
    lib('kernel', 'rewind', 'to any stage of any run gives back the tree and the first words of that stage (E08)'),
    lib('runtime', 'rewind', 'that dies in window %s is found whole or not at all'),
  ),
  E09: later('snapshots stay cheap', 'quota and excluded mounts come with the issue of large repositories'),
  E10: proven(
    'the event store does not bloat',
    cli('keeping', 'nothing in it is left over, and its growth is told by kind: entries, payloads, blobs'),
    cli(
      'keeping',
      'prunes by a written rule that keeps 180 days at least, and erases a run by a signature: it verifies, and deep verification says from where nothing can be derived',
    ),
  ),
  E11: proven(
    'history can be followed as a stream with a cursor',
    cli('demo', 'is one line of version 1 per event, gapless in seq, rising in cursor, from the opening to the close'),
    cli('demo', 'after a cursor gives exactly what stands after it, in both forms'),
    cli('demo', 'shows what others append, each event once and in order, and ends when the run is closed'),
  ),
  E12: proven(
    'exit codes tell the truth',
    cli('run', 'by the provider for its key ends with 30 and says so'),
    cli('run', 'by a policy that narrows it ends with 10, names the rule, and lands nothing'),
    cli('run', 'by an interrupt stops cleanly with 130, says how to go on, and goes on'),
    cli('approvals', 'that is denied at the landing ends the run with 12 and lands nothing'),
    cli('forged', 'one byte changed in the raw file under a payload is found at its entry'),
  ),
  E13: later('fewer prompts without less safety', 'prompts per run and canary recall are measured in the issue of the evaluation suite'),
  E14: partial(
    'old histories keep replaying',
    'golden runs of the present format are kept and replayed; there is no release yet, so none of an older one',
    cli(
      'golden',
      'writes a closed run under its name, small and whole; never over another, never an open one, and it is replayed without its ledger',
    ),
    lib('audit', 'replay', '%s names the first judgement that a candidate makes otherwise, with both values'),
  ),
  E15: later('parallel work recovers deterministically', 'child runs are an issue of their own'),
  E16: proven(
    'retention is atomic',
    cli(
      'keeping',
      'prunes by a written rule that keeps 180 days at least, and erases a run by a signature: it verifies, and deep verification says from where nothing can be derived',
    ),
    lib('stores', 'keeper', 'window 7: killed after it committed, all of it has happened, and no file holds what went (E16)'),
  ),
  E17: proven(
    'back-pressure, not a leak',
    cli('backPressure.heavy', 'waits for it, one append at a time, and goes to its end in bounded memory (E17)'),
    cli('backPressure.heavy', 'the control: one that keeps what the model said dies of the same bound'),
    lib('stores', 'backPressure.heavy', 'of a ledger in %s reads all of it, each entry once, in bounded memory (E17)'),
    lib('stores', 'backPressure.heavy', 'the control: one that keeps what it is given dies of the same bound'),
  ),
  E18: proven(
    'audit loss stops work',
    lib('runtime', 'recovery', '%s stops the work at once, whichever append it meets, and a later drive goes on'),
  ),
  E19: proven(
    'a need for network is asked, not invented',
    cli(
      'policyAdvise.heavy',
      'drafts the narrowest rule for what people approved twice, shows what else it would allow, and leaves the adopting to a person',
    ),
    cli(
      'policyAdvise.heavy',
      'drafts nothing from what somebody denied, and for what the sandbox stopped a question about that very stage',
    ),
    cli(
      'undeclared',
      'that needs the network gets a typed reason which says what to ask for; the model is told and the run goes on without it',
    ),
    lib('runtime', 'effects', 'is put back after an attempt on the network, which fails the stage and says what to ask for (E19)'),
    lib('workspace', 'network', '%s counts %s'),
  ),
  E20: proven(
    'project policy really works and only narrows',
    cli('run', 'by the same policy in the repository ends the same way, and a permit in the repository grants nothing'),
    cli('law', 'binds by law: no file of the repository takes it back, and a permit there grants nothing'),
    lib(
      'audit',
      'simulate',
      'is widened by a policy that permits all in the place of the shipped one, and a permit of the project widens nothing',
    ),
    lib('config', 'narrow', 'is what the narrower says, whoever says it and whoever is wider, and its origin names the narrower'),
  ),
  E21: proven(
    'the approver is a person with a key',
    cli(
      'law',
      'lands with two others who hold their keys under passphrases, and with nobody less: not the opener, not one key twice, not a stranger, not a bare file',
    ),
    cli('law', 'ends with 12 at one veto; a key retired between request and vote counts for nothing'),
    cli('law', 'is asked for at the terminal without echo, is sealed in its file, and a claimed identity is refused'),
    cli('approvals', 'counts by a new approver key, not by one without the role, and not a second time'),
    lib('kernel', 'approvals', 'a vote counts exactly where its signed assurance is at least what was asked'),
  ),
  E22: proven(
    'ordinary tools work in the default profile',
    lib('workspace', 'sandbox', 'E22: git, npm and the test runner of Node work inside the default profile'),
  ),
};
