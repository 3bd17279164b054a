/**
 * The page `schemas/events.md`: one table per trajectory from the registry, then the state machines in prose. Pure text.
 */
import { type Family, KINDS, type Kind, kindRow, REGISTRY } from '@openexec/protocol';
import { membersOf, namedShapes } from './types.ts';

const FAMILIES: readonly { readonly family: Family; readonly trajectory: string; readonly says: string }[] = [
  { family: 'law', trajectory: 'law', says: 'Who may do what, and under which rules. Cannot be erased. Never judged.' },
  { family: 'ledger', trajectory: 'ledger', says: 'What happens to the ledger itself. Never judged.' },
  { family: 'writ', trajectory: 'writ/<root>', says: 'The account of one standing writ. Never judged.' },
  { family: 'run', trajectory: 'run/<32 hex digits>', says: 'One run, judged.' },
  {
    family: 'selftest',
    trajectory: 'selftest/<id>',
    says: 'Canaries before the first run, judged; also takes the kinds of a run that say so.',
  },
  { family: 'memory', trajectory: 'memory', says: 'Operational memory. Never judged.' },
];

const OPENING = `# Events

Generated from the registry of \`@openexec/protocol\` by \`npm run schemas\`; edited by nobody. Registry number ${REGISTRY}: it stands in
\`ledger.founded\`, and a reader refuses a ledger with a higher one. A kind that is not here does not exist: it is refused on append and on verify.

A **fact** came from outside and is only queued. A **judgement** is what the kernel derives from the oldest queued fact: it names that fact's \`seq\` as
\`cause\`, repeats its time, and carries the position of \`law\` it was made under. Each fact of a judged trajectory gets at least one judgement.
The body of every kind has a JSON Schema in \`events/<kind>.schema.json\`; unknown members are refused. Bodies are written as canonical JSON.
A body \`{body, signatures}\` is signed by DSSE over the canonical body with the type \`application/vnd.openexec.<kind>.v1+json\`;
the founding body, which cannot name a fingerprint yet, with \`application/vnd.openexec.founding.v1+json\`.

The families \`evolution\`, \`governance\` and \`peer/…\` are reserved: nothing may be appended to them.
`;

const MACHINES = `## State machines

**Intent.** \`intent.declared\` → \`policy.decided\` → one of three: \`proposal.rejected\` (the end; the author is told), \`proposal.suspended\` with
\`approval.requested\`, or \`proposal.staged\`. A suspended intent ends in \`approval.resolved\`; when granted, the whole compile runs again on the present
world, clock, revocations and budget, and only then is it staged or rejected. All intents of one answer are declared with it and judged one at a
time, each after the commit of the one before; a suspension holds back those behind it.

**Execution.** \`proposal.staged\` → \`execution.started\` → \`execution.observed\` | \`execution.failed\` | \`execution.lost\`. Observed → \`commit.recorded\`, or
\`proposal.rejected\` at the postcondition. Only the driver that appended \`execution.started\`, and was answered *appended*, performs the effect. A retry
is \`execution.started\` of the same proposal with the next attempt under the same reservation and idempotency key. \`effect.undeclared\` fails the stage.

**Model call.** \`stage.entered\` → \`policy.decided\` on \`model.ask\` (kept per stage and law position) → \`model.asked\` → \`model.answered\` | \`model.failed\`. An
ask without an answer is settled at its full reservation, by a new \`model.asked\` {replaces} or by the failure of its stage.

**Stage.** \`stage.entered\` → its one action, or turns of its agent → \`stage.left\` {succeeded, failed, skipped}, whose \`next\` the blueprint fixes. What
is still waiting then is rejected.

**Run.** \`run.opened\` → running ⇄ \`run.parked\` → \`run.closed\` {done, failed, cancelled, denied, exhausted}. A parked run goes on by \`run.resumed\` or
\`approval.resolved\`. \`run.closed\` is the last entry: every store refuses a later one. In an open run a late vote, expiry, cancellation, pause or
submitted intent is judged \`fact.noted\`; any other fact that answers nothing open is noted as a violation.

**Recovery.** A new driver appends \`run.resumed\` with a higher epoch, then judges the queue in order. Judging it touches only executions and asks
whose start stands before it: each becomes a retry (confined to the workspace, or idempotent at the provider) or \`execution.lost\`. Every fact of a
driver carries its epoch; a newer epoch in the ledger means stop.
`;

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** The whole page. */
export function eventsPage(): string {
  const kinds = Object.keys(KINDS) as Kind[]; // The keys of the registry are its kinds.
  const tables = FAMILIES.map(({ family, trajectory, says }) => {
    const own = kinds.filter((kind) => kindRow(kind).families[0] === family);
    return `## Trajectory \`${trajectory}\`\n\n${says}\n\n${table(own)}`;
  });
  const shapes = namedShapes().map(({ name, is }) => `| ${name} | ${cell(is)} |`);
  return [OPENING, ...tables, `## Shapes\n\n| name | is |\n| --- | --- |\n${shapes.join('\n')}\n`, MACHINES].join('\n');
}

function table(kinds: readonly Kind[]): string {
  const rows = kinds.map((kind) => {
    const row = kindRow(kind);
    const also = row.families.length > 1 ? ` (also ${row.families.slice(1).join(', ')})` : '';
    const members = membersOf(row.body).map(cell).join('<br>');
    return `| \`${kind}\` | ${row.class}${also} | ${members} | ${cell(row.by)} | ${cell(row.after)} | ${cell(row.effect)} |`;
  });
  return `| kind | class | members | appended by | after | effect on the state |\n| --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}
