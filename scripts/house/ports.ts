/**
 * Every adapter of a port runs that port's contract suite. The table stands in house.json; here the exports, the tests and the `implements`
 * clauses are held against it, so that neither a forgotten suite nor an unlisted adapter stays unseen.
 */
import { nodeAt, nodesAt, textAt, visitAll } from '../lib/ast.ts';
import type { Finding, House, Port } from './model.ts';
import type { Scanned } from './scan.ts';
import { fileBehind, targetOf } from './scan.ts';
import { exportsName } from './sources.ts';

/** The local name under which a test imports the suite, from where the table says or from the file behind that door, or undefined. */
function importedAs(house: House, test: Scanned, port: Port): string | undefined {
  const suiteFile = fileBehind(house, port.from);
  for (const node of test.source.body) {
    if (node.type !== 'ImportDeclaration' || node['typeOnly'] === true) continue;
    const specifier = textAt(nodeAt(node, 'source'), 'value') ?? '';
    const target = targetOf(house, test.file, specifier);
    if (specifier !== port.from && !(target.is === 'file' && target.path === suiteFile)) continue;
    for (const item of nodesAt(node, 'specifiers')) {
      const original = textAt(nodeAt(item, 'imported') ?? nodeAt(item, 'local'), 'value');
      if (original === port.suite) return textAt(nodeAt(item, 'local'), 'value');
    }
  }
  return undefined;
}

function callsIt(test: Scanned, local: string): boolean {
  let called = false;
  visitAll(test.source, (node) => {
    if (node.type === 'CallExpression' && textAt(nodeAt(node, 'callee'), 'value') === local) called = true;
  });
  return called;
}

function runsSuite(house: House, files: readonly Scanned[], port: Port, adapter: string): boolean {
  return files
    .filter((one) => one.room.key === adapter && one.file.endsWith('.test.ts'))
    .some((one) => {
      const local = importedAs(house, one, port);
      return local !== undefined && callsIt(one, local);
    });
}

/** Packages whose sources hold a class that says `implements PORT`. */
function implementers(files: readonly Scanned[], port: Port): Set<string> {
  const found = new Set<string>();
  for (const one of files.filter((file) => file.ships)) {
    visitAll(one.source, (node) => {
      if (!['ClassDeclaration', 'ClassExpression'].includes(node.type)) return;
      if (nodesAt(node, 'implements').some((item) => textAt(nodeAt(item, 'expression'), 'value') === port.port)) found.add(one.room.key);
    });
  }
  return found;
}

/** Checks every port of the table. */
export function checkPorts(house: House, files: readonly Scanned[]): Finding[] {
  return house.ports.flatMap((port) => {
    const home = house.rooms.find((room) => room.key === port.home);
    const front = `${home?.folder}/src/index.ts`;
    const suiteFile = fileBehind(house, port.from);
    const findings: Finding[] = [];
    const add = (where: string, message: string): void => void findings.push({ rule: 'port', where, message });
    const exported = (file: string, name: string): boolean =>
      exportsName(
        files.find((one) => one.file === file),
        name,
      );
    if (!exported(front, port.port)) add(front, `does not export ${port.port}`);
    if (!exported(suiteFile, port.suite)) add(suiteFile, `does not export ${port.suite}`);
    for (const adapter of port.adapters) {
      if (!runsSuite(house, files, port, adapter)) add(`${adapter}/test`, `no test imports ${port.suite} from ${port.from} and calls it`);
    }
    for (const key of implementers(files, port))
      if (!port.adapters.includes(key)) add(key, `implements ${port.port} but is not listed as its adapter`);
    return findings;
  });
}
