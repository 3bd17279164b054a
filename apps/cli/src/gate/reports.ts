/**
 * A gate's verdict as SARIF 2.1.0 and as JUnit XML, for code scanning and test reports. Shapes only; must never leave out a requirement that is not met,
 * nor a bundle that is not sound.
 */
import { safe } from '../output.ts';
import { xml } from '../policy/reports.ts';
import type { GateVerdict } from './verdict.ts';

/** Everything that stands in the way, by the commit or the bundle that it is of. */
function unmet({ commits, bundles }: GateVerdict): readonly { readonly of: string; readonly code: string; readonly text: string }[] {
  return [
    ...commits.flatMap(({ commit, requirements }) =>
      requirements
        .filter(({ satisfied }) => !satisfied)
        .map(({ code, wanted, found }) => ({ of: commit, code, text: `asked is ${wanted}; found: ${found}` })),
    ),
    ...bundles.flatMap(({ name, wrong }) => wrong.map(({ part, code, message }) => ({ of: name, code, text: `${part}: ${message}` }))),
  ];
}

/** One result for each requirement that is not met. */
export function sarifOf(verdict: GateVerdict, version: string) {
  const found = unmet(verdict);
  const rules = [...new Set(found.map(({ code }) => code))].sort();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'openexec verify-change', semanticVersion: version, rules: rules.map((id) => ({ id })) } },
        columnKind: 'utf16CodeUnits',
        invocations: [{ executionSuccessful: true }],
        results: found.map(({ of, code, text }) => ({
          ruleId: code,
          ruleIndex: rules.indexOf(code),
          level: 'error',
          message: { text: safe(`${of}: ${text}`) },
          locations: [{ logicalLocations: [{ fullyQualifiedName: safe(of), kind: 'member' }] }],
          partialFingerprints: { 'requirement/v1': `${safe(of)}/${code}` },
        })),
      },
    ],
  };
}

/** A suite per commit, a case per requirement; and one suite of the bundles. */
export function junitOf({ commits, bundles }: GateVerdict): string {
  const suites = [
    ...commits.map(({ commit, requirements }) =>
      suiteOf(
        commit,
        requirements.map(({ code, satisfied, wanted, found }) => ({
          name: code,
          failure: satisfied ? null : { type: code, text: `asked is ${wanted}; found: ${found}` },
        })),
      ),
    ),
    ...(bundles.length === 0
      ? []
      : [
          suiteOf(
            'bundles',
            bundles.map(({ name, state, wrong: [first] }) => ({
              name,
              failure:
                state === 'sound' ? null : { type: state, text: first === undefined ? 'not at hand' : `${first.part}: ${first.message}` },
            })),
          ),
        ]),
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>`;
}

interface Case {
  readonly name: string;
  readonly failure: { readonly type: string; readonly text: string } | null;
}

function suiteOf(name: string, cases: readonly Case[]): string {
  const lines = cases.map(({ name: own, failure }) => {
    const head = `    <testcase classname="${xml(name)}" name="${xml(own)}"`;
    if (failure === null) return `${head}/>`;
    const text = xml(failure.text);
    return `${head}>\n      <failure type="${xml(failure.type)}" message="${text}">${text}</failure>\n    </testcase>`;
  });
  const failures = cases.filter(({ failure }) => failure !== null).length;
  return `  <testsuite name="${xml(name)}" tests="${cases.length}" failures="${failures}" errors="0">\n${lines.join('\n')}\n  </testsuite>`;
}
