/**
 * The house check: `npm run house [-- --root DIR]… [--json] [--rules]`. Everything it holds true is generated from, or compared with, house.json.
 * Exit 0 only when something was looked at and nothing was found.
 */
import path from 'node:path';
import process from 'node:process';
import { cruiseHouse } from './house/cruise.ts';
import { checkDoors, checkManifests, checkReferences, checkRooms } from './house/manifests.ts';
import { type Finding, loadHouse } from './house/model.ts';
import { checkPorts } from './house/ports.ts';
import { cruiserRules } from './house/rules.ts';
import { scan } from './house/scan.ts';
import { checkSources } from './house/sources.ts';

interface Report {
  readonly root: string;
  readonly modules: number;
  readonly edges: number;
  readonly findings: readonly Finding[];
}

async function checkHouse(root: string): Promise<Report> {
  const house = loadHouse(root);
  const files = scan(root, house);
  const cruised = await cruiseHouse(root, house, files);
  const findings = [
    ...cruised.findings,
    ...checkRooms(root, house, files),
    ...checkManifests(root, house, files),
    ...checkDoors(root, house),
    ...checkReferences(root, house, files),
    ...checkSources(house, files),
    ...checkPorts(house, files),
  ];
  return { root, modules: cruised.modules, edges: cruised.edges, findings };
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const named = args.flatMap((arg, at) => (args[at - 1] === '--root' ? [arg] : []));
  const roots = named.length > 0 ? named : [path.dirname(path.dirname(new URL(import.meta.url).pathname))];
  if (args.includes('--rules')) {
    process.stdout.write(`${JSON.stringify(cruiserRules(loadHouse(roots[0] ?? '.')), null, 2)}\n`);
    return;
  }
  const reports: Report[] = [];
  for (const root of roots) reports.push(await checkHouse(path.resolve(root)));
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(reports)}\n`);
  for (const report of reports) {
    if (args.includes('--json')) continue;
    for (const one of report.findings) process.stdout.write(`${one.rule}: ${one.where}: ${one.message}\n`);
    process.stdout.write(`house: ${report.modules} modules, ${report.edges} imports, ${report.findings.length} findings\n`);
  }
  process.exitCode = reports.some((report) => report.findings.length > 0) ? 1 : 0;
}

await main();
