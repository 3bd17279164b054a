/**
 * Makes the published schemas from the protocol's own sources: one JSON Schema per event kind and per object, and the table of events.
 * Pure: returns texts by path below `schemas/`, touches no file. Must never add a rule of its own; what it prints is what the sources say
 * (PROTOCOL §4).
 */
import {
  auditReport,
  blueprint,
  catalogue,
  changePointer,
  checkedBlueprint,
  cliDocuments,
  entry,
  gatePolicy,
  goldenRun,
  KINDS,
  type Kind,
  kindRow,
  policyBundle,
  routingPlan,
  skill,
  policySet,
  runMetrics,
  runSafety,
  sandboxProfile,
  timelineIndex,
  writ,
} from '@openexec/protocol';
import * as z from 'zod';
import { eventsPage } from './page.ts';

/** Objects with a schema of their own, by file name. */
const OBJECTS: Readonly<Record<string, { readonly schema: z.ZodType; readonly title: string }>> = {
  entry: { schema: entry, title: 'An entry: the permanent part of an event (entry.md)' },
  writ: { schema: writ, title: 'The body of a writ (writ.md)' },
  'routing-plan': { schema: routingPlan, title: 'The evidence of a router, version 1' },
  skill: { schema: skill, title: 'A skill, version 1' },
  'policy-bundle': { schema: policyBundle, title: 'A policy bundle, version 1' },
  'policy-set': { schema: policySet, title: 'The policy layers of one run, outermost first' },
  blueprint: { schema: blueprint, title: 'A blueprint as written, version 1' },
  'checked-blueprint': { schema: checkedBlueprint, title: 'A blueprint with every default filled in and every route resolved' },
  catalogue: { schema: catalogue, title: 'The catalogue of actions and configured commands of a run' },
  'audit-report': { schema: auditReport, title: 'The part report.json of an audit bundle (bundle.md)' },
  'gate-policy': { schema: gatePolicy, title: 'A gate policy, version 1: .openexec/gate.yaml' },
  'change-pointer': { schema: changePointer, title: 'One line of a note in refs/notes/openexec: where the audit bundle of a commit is' },
  metrics: { schema: runMetrics, title: 'Figures of one run, metrics.json (timeline.md)' },
  safety: { schema: runSafety, title: 'What one run wrote, tried and was refused, safety.json (timeline.md)' },
  'timeline-index': { schema: timelineIndex, title: 'The list of the folder of a run, index.json (timeline.md)' },
  'golden-run': { schema: goldenRun, title: 'The file golden.json of a golden run' },
  'sandbox-profile': { schema: sandboxProfile, title: 'The sandbox profile compiled from a writ' },
};

/** Every kind of the registry, in its order. */
function allKinds(): Kind[] {
  return Object.keys(KINDS) as Kind[]; // The keys of the registry are its kinds.
}

/** Every generated file: path below `schemas/` to text. */
export function generateSchemas(): Map<string, string> {
  const files = new Map<string, string>();
  for (const kind of allKinds()) {
    const path = `events/${kind}.schema.json`;
    files.set(path, schemaText(kindRow(kind).body, path, `Body of ${kind}`));
  }
  for (const [name, { schema, title }] of Object.entries(OBJECTS)) {
    const path = `${name}.schema.json`;
    files.set(path, schemaText(schema, path, title));
  }
  for (const [name, { schema, title }] of Object.entries(cliDocuments)) {
    const path = `cli/${name}.schema.json`;
    files.set(path, schemaText(schema, path, title));
  }
  files.set('events.md', eventsPage());
  return files;
}

/** Keys stand in one order, so that equal schemas are equal bytes. */
function schemaText(schema: z.ZodType, id: string, title: string): string {
  const { $schema, ...rest } = z.toJSONSchema(schema);
  return `${JSON.stringify({ $schema, $id: id, title, ...sorted(rest) }, null, 2)}\n`;
}

function sorted<T>(value: T): T {
  if (Array.isArray(value)) return value.map(sorted) as T;
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, inner]) => [key, sorted(inner)])) as T; // The same members, in another order.
}
