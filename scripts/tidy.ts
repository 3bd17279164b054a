/**
 * Style as a check: `npm run tidy`. Reads every code file of packages and scripts, applies the rules of scripts/tidy/rules.ts, prints the measures
 * of each package. Exit 0 only when files were read and nothing was found.
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { loadHouse, type House } from './house/model.ts';
import { scan } from './house/scan.ts';
import { parse } from './lib/ast.ts';
import { readText, walk } from './lib/files.ts';
import { judge, type Place } from './tidy/rules.ts';
import { judgePackage, measure } from './tidy/report.ts';

/** The decisions of DECISIONS.md: every heading that carries a number such as D-nn. */
function decisionsOf(root: string): Set<string> {
  const file = path.join(root, 'DECISIONS.md');
  if (!fs.existsSync(file)) return new Set();
  const headings = fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('#'));
  return new Set(headings.flatMap((line) => line.match(/\bD-\d+\b/g) ?? []));
}

/** Markdown at the root and in packages cites decisions too. */
function citedInTexts(root: string, house: House, decisions: ReadonlySet<string>): string[] {
  const folders = ['', ...house.rooms.map((room) => room.folder)];
  return folders.flatMap((folder) => {
    const absolute = path.join(root, folder);
    if (!fs.existsSync(absolute)) return [];
    return fs
      .readdirSync(absolute)
      .filter((name) => name.endsWith('.md'))
      .flatMap((name) => {
        const text = fs.readFileSync(path.join(absolute, name), 'utf8');
        const unknown = new Set([...text.matchAll(/\bD-\d+\b/g)].map(([cited]) => cited).filter((cited) => !decisions.has(cited)));
        return [...unknown].map((cited) => `citation: ${path.posix.join(folder, name)}: ${cited} is not in DECISIONS.md`);
      });
  });
}

function kindOf(file: string, ships: boolean): Place['kind'] {
  if (ships) return 'source';
  return file.includes('/test/') ? 'test' : 'tool';
}

function main(): void {
  const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
  const house = loadHouse(root);
  const decisions = decisionsOf(root);
  const ports = house.ports.map((one) => one.port);
  const files = scan(root, house);
  const findings: string[] = citedInTexts(root, house, decisions);
  const say = (file: string, place: Place, source: ReturnType<typeof parse>): void => {
    for (const one of judge(source, place)) findings.push(`${one.rule}: ${file}:${one.line}: ${one.message}`);
  };
  for (const one of files)
    say(one.file, { kind: kindOf(one.file, one.ships), pure: one.room.pure, documented: one.room.pure, ports, decisions }, one.source);
  const scripts = walk(root, 'scripts');
  for (const file of scripts)
    say(file, { kind: kindOf(file, false), pure: false, documented: false, ports, decisions }, parse(file, readText(root, file)));

  process.stdout.write('package      files  lines   file lines med/p90/max   function lines med/p90/max   documented\n');
  for (const room of house.rooms) {
    const measures = measure(files.filter((one) => one.room.key === room.key && one.ships).map((one) => one.source));
    const { fileLines: a, functionLines: b } = measures;
    const cells = [room.key.padEnd(12), String(measures.files).padStart(5), String(measures.lines).padStart(6)];
    process.stdout.write(
      `${cells.join(' ')}   ${`${a.median} / ${a.p90} / ${a.max}`.padEnd(24)} ${`${b.median} / ${b.p90} / ${b.max}`.padEnd(28)} ${measures.documented} of ${measures.exports}\n`,
    );
    for (const message of judgePackage(measures, { maxLines: house.maxPackageLines, large: room.large, decisions }))
      findings.push(`package: ${room.folder}: ${message}`);
  }
  const disabled = [...files.map((one) => one.source.text), ...scripts.map((file) => readText(root, file))].flatMap(
    (text) => text.match(/\b(oxlint|biome)-(disable|ignore)/g) ?? [],
  ).length;
  for (const finding of findings) process.stdout.write(`${finding}\n`);
  process.stdout.write(`tidy: ${files.length + scripts.length} files, ${disabled} disabled lint rules, ${findings.length} findings\n`);
  process.exitCode = findings.length === 0 && files.length > 0 && scripts.length > 0 ? 0 : 1;
}

main();
