/**
 * A simulation as SARIF 2.1.0 and as JUnit XML, for code scanning and test reports. Shapes only; must never leave a run out that could not be derived.
 * docs.oasis-open.org/sarif/sarif/v2.1.0; the JUnit schema of Jenkins' xunit plugin.
 */
import { resolve } from 'node:path';
import { inspectPolicy, SHIPPED_POLICIES } from '@openexec/config';
import type { Candidate, DecisionChange, SimulatedDecision, Simulation } from '@openexec/audit';
import { safe, safeLine } from '../output.ts';

const RULES: Readonly<Record<Exclude<DecisionChange, 'same'>, { readonly id: string; readonly text: string }>> = {
  newlyDenies: { id: 'newly-denied', text: 'The candidate policy would have denied what was let through or asked about.' },
  newlyAsks: { id: 'newly-asked', text: 'The candidate policy would have asked people about what was decided without them.' },
  newlyPermits: { id: 'newly-permitted', text: 'The candidate policy would have let through what was denied or asked about.' },
  asksOtherwise: { id: 'asked-otherwise', text: 'The candidate policy would have asked other people, or on other terms.' },
};

/** What is said of one decision. */
function textOf({ run, seq, subject, recorded, candidate }: SimulatedDecision): string {
  const by = ({ rule, by: who }: SimulatedDecision['recorded']) => (rule === null ? who : `${rule.layer}/${rule.rule}`);
  return safe(
    `${run} ${seq} ${subject}: recorded ${recorded.verdict} by ${by(recorded)}, would be ${candidate.verdict} by ${by(candidate)}: ${candidate.because}`,
  );
}

/** The report as SARIF: what widens is an error, what narrows a warning. */
export function sarifOf(
  simulation: Simulation,
  changed: readonly SimulatedDecision[],
  of: { readonly candidate: Candidate; readonly version: string },
) {
  const { candidate, version } = of;
  const placeOf = placesOf(candidate);
  const rules = Object.values(RULES);
  const notifications = simulation.runs.flatMap(({ run, notDerivable }) =>
    notDerivable === null
      ? []
      : [
          {
            level: 'warning',
            message: {
              text: safe(
                `${run} is not derivable from seq ${notDerivable.seq} (${notDerivable.code}): ${notDerivable.missed} decisions were not looked at`,
              ),
            },
          },
        ],
  );
  const results = changed.flatMap((made) => {
    if (made.change === 'same') return [];
    const { id } = RULES[made.change];
    return [
      {
        ruleId: id,
        ruleIndex: rules.findIndex((rule) => rule.id === id),
        level: made.direction === 'narrowed' ? 'warning' : 'error',
        message: { text: textOf(made) },
        locations: [
          { ...placeOf(made.candidate.rule), logicalLocations: [{ fullyQualifiedName: `${made.run}/${made.seq}`, kind: 'member' }] },
        ],
        partialFingerprints: { 'decision/v1': `${made.run}/${made.seq}` },
        properties: { direction: made.direction, recorded: made.recorded.verdict, candidate: made.candidate.verdict },
      },
    ];
  });
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'openexec policy simulate',
            semanticVersion: version,
            rules: rules.map(({ id, text }) => ({ id, shortDescription: { text } })),
          },
        },
        columnKind: 'utf16CodeUnits',
        invocations: [{ executionSuccessful: true, toolExecutionNotifications: notifications }],
        results,
        properties: { decisions: simulation.decisions, counts: simulation.counts, missed: simulation.missed },
      },
    ],
  };
}

/** Where a rule of the candidate stands in its file; nothing for one that ships or stands in another layer. */
function placesOf({ layer, bundle, source }: Candidate) {
  const file = SHIPPED_POLICIES.some((name) => name === source) ? null : source;
  const inspected = file === null ? null : inspectPolicy(resolve(file));
  return (rule: SimulatedDecision['candidate']['rule']) => {
    if (file === null) return {};
    const index = rule === null || rule.layer !== layer ? -1 : bundle.rules.findIndex(({ id }) => id === rule.rule);
    // A signed bundle is JSON around the rules; its first line has to do.
    const { line } = inspected?.ok === true && index >= 0 ? inspected.value.at(['rules', index]) : { line: 1 };
    return { physicalLocation: { artifactLocation: { uri: encodeURI(safe(file)) }, region: { startLine: line } } };
  };
}

/** The report as JUnit: a suite per run, a case per decision; `fails` says which changes are failures. */
export function junitOf(
  simulation: Simulation,
  decisions: readonly SimulatedDecision[],
  fails: (made: SimulatedDecision) => boolean,
): string {
  const ofRun = new Map<string, SimulatedDecision[]>();
  for (const made of decisions) {
    const list = ofRun.get(made.run) ?? [];
    list.push(made);
    ofRun.set(made.run, list);
  }
  const suites = simulation.runs.map(({ run, notDerivable }) => {
    const made = ofRun.get(run) ?? [];
    const cases = made.map((each) => {
      const head = `    <testcase classname="${xml(run)}" name="${each.seq} ${xml(each.subject)}"`;
      if (!fails(each)) return `${head}/>`;
      return `${head}>\n      <failure type="${each.change}" message="${xml(textOf(each))}">${xml(textOf(each))}</failure>\n    </testcase>`;
    });
    if (notDerivable !== null) {
      const { seq, code, missed } = notDerivable;
      cases.push(
        `    <testcase classname="${xml(run)}" name="from ${seq}">\n      <skipped message="${xml(`not derivable (${code}): ${missed} decisions`)}"/>\n    </testcase>`,
      );
    }
    const failures = made.filter(fails).length;
    const skipped = notDerivable === null ? 0 : 1;
    return `  <testsuite name="${xml(run)}" tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}">\n${cases.join('\n')}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>`;
}

/** Text inside an attribute or element. */
export function xml(text: string): string {
  const named: { readonly [character: string]: string } = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return safeLine(text, 4000).replace(/[&<>"]/g, (character) => named[character] ?? character);
}
