/**
 * `policy check` and `policy test`: bundles in files, before any run reads them. Must never pass a file that it has not looked at (GOALS E02).
 */
import { resolve } from 'node:path';
import { digestJson, ok } from '@openexec/canon';
import { type ConfigProblem, inspectPolicy, loadPolicies, problemText } from '@openexec/config';
import { type ExampleOutcome, testBundle } from '@openexec/policy';
import type { PolicyBundle } from '@openexec/protocol';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT } from '../exit.ts';
import { safe, safeLine } from '../output.ts';
import { xml } from './reports.ts';

/** The digest of a bundle, over its full content. */
export function bundleDigest(bundle: PolicyBundle): string {
  return digestJson(bundle);
}

interface Checked {
  readonly file: string;
  readonly name: string | null;
  readonly rules: number;
  readonly digest: string | null;
  readonly problems: readonly ConfigProblem[];
}

/** Every problem of every file, each with file, line and column. */
export async function checkFiles(
  files: readonly string[],
  options: { readonly json?: boolean },
  context: CommandContext,
): Promise<CommandResult> {
  const checked = files.map((file): Checked => {
    const loaded = loadPolicies([resolve(context.cwd, file)]);
    const bundle = loaded.ok ? loaded.value[0]?.bundle : undefined;
    const problems = loaded.ok ? [] : loaded.error.map((problem) => ({ ...problem, file }));
    if (bundle === undefined) return { file, name: null, rules: 0, digest: null, problems };
    return { file, name: bundle.name, rules: bundle.rules.length, digest: bundleDigest(bundle), problems };
  });
  const broken = checked.some(({ problems }) => problems.length > 0);
  const { output } = context;
  if (options.json === true) output.json('policy-check', { v: 1, sound: !broken, files: checked });
  else
    for (const { file, name, rules, digest, problems } of checked) {
      for (const problem of problems) output.result(safe(problemText(problem)));
      if (problems.length === 0)
        output.result(`${safeLine(file)}: ${name ?? ''} is sound: ${rules} rules, all examples as they say  ${digest ?? ''}`);
    }
  return ok(broken ? EXIT.usage : EXIT.ok);
}

interface Tested {
  readonly file: string;
  readonly name: string;
  readonly outcomes: readonly (ExampleOutcome & { readonly line: number; readonly column: number })[];
}

/** Runs the examples of every file, and tells which rules each one set off. */
export async function testFiles(
  files: readonly string[],
  options: { readonly json?: boolean; readonly junit?: boolean },
  context: CommandContext,
): Promise<CommandResult> {
  const tested: Tested[] = [];
  for (const file of files) {
    const inspected = inspectPolicy(resolve(context.cwd, file));
    if (!inspected.ok) return brokenFile(file, inspected.error);
    const { bundle, at } = inspected.value;
    const outcomes = testBundle(bundle).map((outcome) => ({ ...outcome, ...at(placeOf(bundle, outcome)) }));
    tested.push({ file, name: bundle.name, outcomes });
  }
  const failed = tested.reduce((sum, { outcomes }) => sum + outcomes.filter(({ problem }) => problem !== null).length, 0);
  const { output } = context;
  if (options.junit === true) output.result(junitOf(tested));
  else if (options.json === true) output.json('policy-test', { v: 1, failed, files: tested.map(plainOf) });
  else for (const each of tested) print(each, context);
  return ok(failed === 0 ? EXIT.ok : EXIT.failed);
}

function placeOf(bundle: PolicyBundle, { rule, list, at }: ExampleOutcome): readonly (string | number)[] {
  return ['rules', bundle.rules.findIndex(({ id }) => id === rule), 'examples', list, at];
}

function brokenFile(file: string, problems: readonly ConfigProblem[]): CommandResult {
  const lines = problems.map((problem) => problemText({ ...problem, file }));
  return { ok: false, error: { code: 'policy.invalid', message: lines.join('\n') } };
}

function plainOf({ file, name, outcomes }: Tested) {
  return {
    file,
    name,
    examples: outcomes.map(({ problem, ...rest }) => ({ ...rest, passed: problem === null, problem: problem?.message ?? null })),
  };
}

function hitsText({ hits }: ExampleOutcome): string {
  if (hits.length === 0) return 'no rule';
  return hits.map(({ rule, truth, decide }) => `${rule}${truth === 'unknown' ? ' (unknown)' : ''} → ${decide}`).join(', ');
}

function print({ file, name, outcomes }: Tested, { output }: CommandContext): void {
  const { green, red, bold, dim } = output.style;
  output.result(`${bold(name)}  ${safeLine(file)}`);
  for (const outcome of outcomes) {
    const { rule, list, at, problem, verdict, line, column } = outcome;
    output.result(
      `${problem === null ? green('ok  ') : red('FAIL')} ${rule} ${list}.${at}: ${hitsText(outcome)}; in all ${verdict}  ${dim(`${line}:${column}`)}`,
    );
    if (problem !== null) output.result(`     ${safeLine(file)}:${line}:${column}: ${safeLine(problem.message)}`);
  }
}

function junitOf(tested: readonly Tested[]): string {
  const suites = tested.map(({ file, name, outcomes }) => {
    const cases = outcomes.map((outcome) => {
      const { rule, list, at, problem, line, column } = outcome;
      const head = `    <testcase classname="${xml(name)}.${xml(rule)}" name="${list}.${at}" file="${xml(file)}" line="${line}"`;
      if (problem === null) return `${head}/>`;
      const said = `${file}:${line}:${column}: ${problem.message}; it set off ${hitsText(outcome)}`;
      return `${head}>\n      <failure message="${xml(problem.message)}">${xml(said)}</failure>\n    </testcase>`;
    });
    const failures = outcomes.filter(({ problem }) => problem !== null).length;
    return `  <testsuite name="${xml(name)}" tests="${outcomes.length}" failures="${failures}" errors="0">\n${cases.join('\n')}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>`;
}
