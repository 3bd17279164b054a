/**
 * What dependency-cruiser cannot see: that house.json, the folders on disk, every package.json, every tsconfig and the root configuration tell
 * the same story. Reads files only; never repairs them.
 */
import fs from 'node:fs';
import path from 'node:path';
import { packageFolders } from '../lib/files.ts';
import type { Finding, House, Room } from './model.ts';
import type { Scanned, Target } from './scan.ts';
import { targetOf } from './scan.ts';

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly type?: string;
  readonly exports?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface TsConfig {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly references?: readonly { readonly path: string }[];
}

/** JSON below root as the given shape; the fields used are compared, never trusted further. */
function readJson<T>(root: string, file: string): T | null {
  const absolute = path.join(root, file);
  // The shapes above only name optional fields, and every use compares them with an expected value.
  return fs.existsSync(absolute) ? (JSON.parse(fs.readFileSync(absolute, 'utf8')) as T) : null;
}

function compare(rule: string, where: string, what: string, have: readonly string[], want: readonly string[]): Finding[] {
  const missing = want.filter((one) => !have.includes(one)).map((one) => ({ rule, where, message: `${what} lacks ${one}` }));
  const spare = have.filter((one) => !want.includes(one)).map((one) => ({ rule, where, message: `${what} has ${one} without need` }));
  return [...missing, ...spare];
}

/** Packages on disk and packages in house.json are the same set, and each has something in it. */
export function checkRooms(root: string, house: House, files: readonly Scanned[]): Finding[] {
  const onDisk = packageFolders(root);
  const listed = house.rooms.map((room) => room.folder);
  const findings = compare('rooms', 'scripts/house.json', 'the list', listed, onDisk).map((one) => ({
    ...one,
    message: one.message.replace('without need', 'but there is no such package on disk'),
  }));
  for (const room of house.rooms) {
    const own = files.filter((one) => one.room.key === room.key && one.ships);
    const meaningful = own.filter((one) =>
      one.source.body.some(
        (node) => node.type !== 'ExportNamedDeclaration' || (Array.isArray(node['specifiers']) && node['specifiers'].length > 0),
      ),
    );
    if (meaningful.length === 0) findings.push({ rule: 'empty', where: room.folder, message: 'no module with content below src/' });
  }
  return findings;
}

interface Uses {
  readonly shipped: ReadonlySet<string>;
  readonly others: ReadonlySet<string>;
}

function usesOf(house: House, room: Room, files: readonly Scanned[]): Uses {
  const nameOf = (target: Target): string[] => {
    if (target.is === 'outside') return [target.name];
    return target.is === 'sibling' && target.room.key !== room.key ? [target.room.name] : [];
  };
  const named = (ships: boolean): Set<string> =>
    new Set(
      files
        .filter((one) => one.room.key === room.key && one.ships === ships)
        .flatMap((one) => one.imports.flatMap(({ specifier }) => nameOf(targetOf(house, one.file, specifier)))),
    );
  return { shipped: named(true), others: named(false) };
}

/** `dependencies` are exactly what the sources import, `devDependencies` exactly what only tests, benches and build scripts import. */
export function checkManifests(root: string, house: House, files: readonly Scanned[]): Finding[] {
  const rootDev = Object.keys(readJson<Manifest>(root, 'package.json')?.devDependencies ?? {});
  const versions = new Map(house.rooms.map((room) => [room.name, readJson<Manifest>(root, `${room.folder}/package.json`)?.version]));
  const ranges = new Map<string, string>();
  return house.rooms.flatMap((room) => {
    const where = `${room.folder}/package.json`;
    const manifest = readJson<Manifest>(root, where);
    if (manifest === null) return [{ rule: 'manifest', where, message: 'is missing' }];
    const uses = usesOf(house, room, files);
    const shipped = [...uses.shipped];
    const others = [...uses.others].filter((name) => !uses.shipped.has(name) && !(room.app && room.shipped.includes(name)));
    const have = manifest.dependencies ?? {};
    const haveDev = manifest.devDependencies ?? {};
    const wantDev = room.app ? [...shipped.filter((name) => !room.shipped.includes(name)), ...others] : others;
    const findings = [
      ...compare('manifest', where, 'dependencies', Object.keys(have), room.app ? room.shipped : shipped),
      // What the root package.json brings for everybody may be repeated, or left out.
      ...compare('manifest', where, 'devDependencies', Object.keys(haveDev), wantDev).filter(
        (one) => !rootDev.some((name) => one.message === `devDependencies lacks ${name}`),
      ),
    ];
    if (manifest.name !== room.name) findings.push({ rule: 'manifest', where, message: `name must be ${room.name}` });
    if (manifest.type !== 'module') findings.push({ rule: 'manifest', where, message: 'type must be module' });
    for (const [name, range] of Object.entries({ ...have, ...haveDev })) {
      const sibling = versions.get(name);
      if (sibling !== undefined && sibling !== range)
        findings.push({ rule: 'manifest', where, message: `${name} must be exactly ${sibling}, not ${range}` });
      // An app's shipped packages carry a wider range: what users may have, not what is developed with.
      const first = room.shipped.includes(name) ? range : (ranges.get(name) ?? range);
      if (!room.shipped.includes(name)) ranges.set(name, first);
      if (first !== range) findings.push({ rule: 'manifest', where, message: `${name} is ${range} here and ${first} elsewhere` });
    }
    return findings;
  });
}

/** A library has one front door, and besides it the doors that house.json names, all found as source through the house's condition. */
export function checkDoors(root: string, house: House): Finding[] {
  return house.rooms
    .filter((room) => !room.app)
    .flatMap((room) => {
      const where = `${room.folder}/package.json`;
      const door = (file: string): Record<string, string> => {
        const built = file.replace(/^src\//, './dist/').replace(/\.ts$/, '');
        return { [house.sourceCondition]: `./${file}`, types: `${built}.d.ts`, default: `${built}.js` };
      };
      const want = Object.fromEntries([
        ['.', door('src/index.ts')],
        ...Object.entries(room.doors).map(([name, file]) => [name, door(file)]),
      ]);
      const have = readJson<Manifest>(root, where)?.exports;
      return JSON.stringify(have) === JSON.stringify(want)
        ? []
        : [{ rule: 'door', where, message: `exports must be ${JSON.stringify(want)}` }];
    });
}

/** Project references equal the siblings that the sources import; the root references every package; the pure pass covers every pure package. */
export function checkReferences(root: string, house: House, files: readonly Scanned[]): Finding[] {
  const nameOfFolder = new Map(house.rooms.map((room) => [room.folder, room.name]));
  const findings = house.rooms.flatMap((room) => {
    const where = `${room.folder}/tsconfig.json`;
    const config = readJson<TsConfig>(root, where);
    if (config === null) return [{ rule: 'references', where, message: 'is missing' }];
    const have = (config.references ?? []).map((one) => {
      const folder = path.posix.normalize(`${room.folder}/${one.path}`).replace(/\/$/, '');
      return nameOfFolder.get(folder) ?? folder;
    });
    const siblings = [...usesOf(house, room, files).shipped].filter((name) => [...nameOfFolder.values()].includes(name));
    return compare('references', where, 'references', have, siblings);
  });
  const rootConfig = readJson<TsConfig>(root, 'tsconfig.json');
  const rootHave = (rootConfig?.references ?? []).map((one) => one.path);
  findings.push(
    ...compare(
      'references',
      'tsconfig.json',
      'references',
      rootHave,
      house.rooms.map((room) => room.folder),
    ),
  );

  const pure = house.rooms.filter((room) => room.pure);
  const pureConfig = readJson<TsConfig>(root, 'scripts/tsconfig.pure.json');
  const covered = pure.map((room) => `../${room.folder}/src`);
  const exempt = pure.flatMap((room) => Object.keys(room.builtins).map((file) => `../${room.folder}/${file}`));
  findings.push(...compare('pure-pass', 'scripts/tsconfig.pure.json', 'include', pureConfig?.include ?? [], covered));
  findings.push(...compare('pure-pass', 'scripts/tsconfig.pure.json', 'exclude', pureConfig?.exclude ?? [], exempt));
  return findings;
}
