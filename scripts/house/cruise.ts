/**
 * Runs dependency-cruiser with the generated rules and then checks the checker: the modules and edges that it saw must be the ones of the
 * house's own listing, and must not be none. A green check that looked at nothing is refused here.
 */
import path from 'node:path';
import { cruise, type ICruiseResult, type IModule } from 'dependency-cruiser';
import type { Finding, House } from './model.ts';
import { cruiserRules } from './rules.ts';
import type { Scanned } from './scan.ts';

/** What the cruise saw, for the report. */
export interface Cruised {
  readonly modules: number;
  readonly edges: number;
  readonly findings: readonly Finding[];
}

const own = (module: IModule): boolean =>
  /^(libs|apps)\//.test(module.source) && !module.source.includes('node_modules/') && module.coreModule !== true;

/** One import as text; dependency-cruiser drops the `node:` of built-in modules, so both sides do. */
const edge = (from: string, to: string): string => `${from} → ${to.replace(/^node:/, '')}`;

async function run(root: string, house: House): Promise<ICruiseResult> {
  const before = process.cwd();
  // dependency-cruiser resolves workspace links from the working directory.
  process.chdir(root);
  try {
    const answer = await cruise(
      ['libs', 'apps'],
      {
        baseDir: root,
        validate: true,
        ruleSet: { forbidden: [...cruiserRules(house)] },
        doNotFollow: { path: 'node_modules' },
        exclude: { path: '^(libs|apps)/[^/]+/(dist|assets|coverage|node_modules|fixtures)/' },
        tsPreCompilationDeps: true,
        skipAnalysisNotInRules: false,
      },
      {
        exportsFields: ['exports'],
        importsFields: ['imports'],
        conditionNames: [house.sourceCondition, 'node', 'import', 'default'],
        extensions: ['.ts', '.mts', '.js', '.mjs', '.json'],
      },
    );
    if (typeof answer.output === 'string') throw new Error('dependency-cruiser answered with text instead of a result');
    return answer.output;
  } finally {
    process.chdir(before);
  }
}

/** One line per difference between two sets, at most twenty. */
function differences(rule: string, ours: ReadonlySet<string>, theirs: ReadonlySet<string>): Finding[] {
  const missed = [...ours]
    .filter((one) => !theirs.has(one))
    .map((where) => ({ rule, where, message: 'is on disk, but dependency-cruiser did not see it' }));
  const extra = [...theirs]
    .filter((one) => !ours.has(one))
    .map((where) => ({ rule, where, message: 'was seen by dependency-cruiser, but not by the listing' }));
  return [...missed, ...extra].slice(0, 20);
}

/** Cruises the workspace at `root` and compares the result with the listing. */
export async function cruiseHouse(root: string, house: House, files: readonly Scanned[]): Promise<Cruised> {
  const result = await run(path.resolve(root), house);
  const modules = result.modules.filter(own);
  const edges = new Set(modules.flatMap((one) => one.dependencies.map((to) => edge(one.source, to.module))));
  const ours = new Set(files.flatMap((one) => one.imports.map((to) => edge(one.file, to.specifier))));
  // dependency-cruiser 17 over swc passes by `export type … from`; the house judges those itself (sources.ts).
  const unseen = files.flatMap((one) => one.imports.filter((to) => to.onlyTypeReexport).map((to) => edge(one.file, to.specifier)));
  const violations = result.summary.violations.map((one) => ({
    // Names are `kind:detail`, since dependency-cruiser tells rules apart by name; a finding carries the kind.
    rule: one.rule.name.split(':')[0] ?? one.rule.name,
    where: one.from,
    message: `→ ${one.to}: ${result.summary.ruleSetUsed?.forbidden?.find((rule) => rule.name === one.rule.name)?.comment ?? one.rule.name}`,
  }));
  const findings: Finding[] = [
    ...violations,
    ...differences('listing', new Set(files.map((one) => one.file)), new Set(modules.map((one) => one.source))),
    ...differences('edges', ours, new Set([...edges, ...unseen])),
  ];
  if (modules.length === 0) findings.push({ rule: 'listing', where: root, message: 'no module was looked at' });
  if (edges.size === 0) findings.push({ rule: 'edges', where: root, message: 'no import was looked at' });
  return { modules: modules.length, edges: edges.size, findings };
}
