/**
 * Every adapter of a port runs that port's contract suite. The table stands in house.json; here the exports, the tests and the `implements`
 * clauses are held against it, so that neither a forgotten suite nor an unlisted adapter stays unseen.
 */
import { nodeAt, nodesAt, textAt, visitAll } from '../lib/ast.ts';
import type { Finding, House, Port } from './model.ts';
import type { Scanned } from './scan.ts';
import { targetOf } from './scan.ts';
import { exportsName } from './sources.ts';

/** The local name under which a test imports `suite` from the port's home, or undefined. */
function importedAs(house: House, test: Scanned, port: Port): string | undefined {
  const home = house.rooms.find((room) => room.key === port.home);
  for (const node of test.source.body) {
    if (node.type !== 'ImportDeclaration' || node['typeOnly'] === true) continue;
    const target = targetOf(house, test.file, textAt(nodeAt(node, 'source'), 'value') ?? '');
    const fromHome =
      target.is === 'sibling' ? target.room.key === port.home : target.is === 'file' && target.path.startsWith(`${home?.folder}/src/`);
    if (!fromHome) continue;
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
    const index = files.find((one) => one.file === `${home?.folder}/src/index.ts`);
    const findings: Finding[] = [];
    const add = (where: string, message: string): void => void findings.push({ rule: 'port', where, message });
    for (const name of [port.port, port.suite])
      if (!exportsName(index, name)) add(`${home?.folder}/src/index.ts`, `does not export ${name}`);
    for (const adapter of port.adapters) {
      if (!runsSuite(house, files, port, adapter)) add(`${adapter}/test`, `no test imports ${port.suite} from ${port.home} and calls it`);
    }
    for (const key of implementers(files, port))
      if (!port.adapters.includes(key)) add(key, `implements ${port.port} but is not listed as its adapter`);
    return findings;
  });
}
