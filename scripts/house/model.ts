/**
 * Reads `scripts/house.json`, the only list of floors, packages, allowed same-floor edges, owners of outside packages and ports.
 * An unknown key or a name that points nowhere is an error: a list that is half understood protects nothing.
 */
import fs from 'node:fs';
import path from 'node:path';

/** One package as the house knows it. */
export interface Room {
  /** The short name used throughout house.json. */
  readonly key: string;
  /** The name in package.json, by which siblings import it. */
  readonly name: string;
  readonly folder: string;
  readonly floor: number;
  /** Floors up to `pureUpTo` see no Node and no ambient time or chance. */
  readonly pure: boolean;
  /** For a pure package: the files that may use these built-in modules (the `#crypto` condition). */
  readonly builtins: Readonly<Record<string, readonly string[]>>;
  /** An aside package serves tests only; nothing else may import it. */
  readonly aside: boolean;
  /** An app has no front door and nobody imports it; everything it uses is bundled save what it ships with. */
  readonly app: boolean;
  /** Doors of a library besides `src/index.ts`: subpath of the package → source file below its folder. */
  readonly doors: Readonly<Record<string, string>>;
  /** Of an app: the outside packages that stay `dependencies` because they cannot be bundled. */
  readonly shipped: readonly string[];
  /** A decision number that allows more than `maxPackageLines` lines of source. */
  readonly large: string | null;
}

/** A port: which package declares it, where its contract suite comes from (a door of a package, or a file), and which packages must run it. */
export interface Port {
  readonly port: string;
  readonly home: string;
  readonly suite: string;
  readonly from: string;
  readonly adapters: readonly string[];
}

/** The whole of house.json, checked. */
export interface House {
  readonly scope: string;
  readonly sourceCondition: string;
  readonly maxPackageLines: number;
  readonly rooms: readonly Room[];
  /** Allowed same-floor imports, importer first. */
  readonly sameFloor: readonly (readonly [string, string])[];
  /** Outside package → short names of the packages whose sources may import it. */
  readonly outside: Readonly<Record<string, readonly string[]>>;
  /** Outside packages that any test, bench or build script may import; they stand in the root package.json. */
  readonly testTools: readonly string[];
  readonly ports: readonly Port[];
}

/** One refusal of the house check. */
export interface Finding {
  readonly rule: string;
  readonly where: string;
  readonly message: string;
}

type Fields = Record<string, unknown>;

const fail = (what: string): never => {
  throw new Error(`house.json: ${what}`);
};

function fields(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(`${at} must be an object`);
  for (const key of Object.keys(value)) if (!known.includes(key)) fail(`${at} has the unknown key '${key}'; known: ${known.join(', ')}`);
  return { ...value };
}

function record(value: unknown, at: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(`${at} must be an object`);
  return { ...value };
}

const text = (value: unknown, at: string): string => (typeof value === 'string' && value !== '' ? value : fail(`${at} must be text`));
const count = (value: unknown, at: string): number => (Number.isSafeInteger(value) ? Number(value) : fail(`${at} must be a whole number`));
const texts = (value: unknown, at: string): string[] =>
  Array.isArray(value) ? value.map((item: unknown) => text(item, at)) : fail(`${at} must be a list`);

const ROOM_KEYS = ['folder', 'name', 'floor', 'builtins', 'doors', 'aside', 'app', 'shipped', 'large'];

function room(key: string, value: unknown, scope: string, pureUpTo: number): Room {
  const at = `packages.${key}`;
  const given = fields(value, at, ROOM_KEYS);
  const floor = count(given['floor'], `${at}.floor`);
  const builtins = Object.entries(record(given['builtins'] ?? {}, `${at}.builtins`));
  const doors = Object.entries(record(given['doors'] ?? {}, `${at}.doors`));
  return {
    key,
    name: given['name'] === undefined ? `${scope}/${key}` : text(given['name'], `${at}.name`),
    folder: text(given['folder'], `${at}.folder`),
    floor,
    pure: floor <= pureUpTo,
    builtins: Object.fromEntries(builtins.map(([file, list]) => [file, texts(list, `${at}.builtins`)])),
    doors: Object.fromEntries(doors.map(([door, file]) => [door, text(file, `${at}.doors`)])),
    aside: given['aside'] === true,
    app: given['app'] === true,
    shipped: texts(given['shipped'] ?? [], `${at}.shipped`),
    large: given['large'] === undefined ? null : text(given['large'], `${at}.large`),
  };
}

function port(name: string, value: unknown): Port {
  const at = `ports.${name}`;
  const given = fields(value, at, ['home', 'suite', 'from', 'adapters']);
  const adapters = texts(given['adapters'], `${at}.adapters`);
  if (adapters.length === 0) fail(`${at} has no adapter; a port without one is not in use`);
  return {
    port: name,
    home: text(given['home'], `${at}.home`),
    suite: text(given['suite'], `${at}.suite`),
    from: text(given['from'], `${at}.from`),
    adapters,
  };
}

/** Reads and checks `scripts/house.json` below `root`. Throws with the place and the reason. */
export function loadHouse(root: string): House {
  const parsed: unknown = JSON.parse(fs.readFileSync(path.join(root, 'scripts/house.json'), 'utf8'));
  const given = fields(parsed, 'top', [
    'scope',
    'sourceCondition',
    'pureUpTo',
    'maxPackageLines',
    'packages',
    'sameFloor',
    'outside',
    'testTools',
    'ports',
  ]);
  const scope = text(given['scope'], 'scope');
  const pureUpTo = count(given['pureUpTo'], 'pureUpTo');
  const rooms = Object.entries(record(given['packages'], 'packages')).map(([key, value]) => room(key, value, scope, pureUpTo));
  const ports = Object.entries(record(given['ports'], 'ports')).map(([name, value]) => port(name, value));
  const outside = Object.entries(record(given['outside'], 'outside')).map(
    ([name, owners]) => [name, texts(owners, `outside.${name}`)] as const,
  );
  const pairs = Array.isArray(given['sameFloor']) ? given['sameFloor'] : fail('sameFloor must be a list of pairs');
  const sameFloor = pairs.map((pair: unknown): readonly [string, string] => {
    const [from, to] = texts(pair, 'sameFloor');
    return [text(from, 'sameFloor'), text(to, 'sameFloor')];
  });

  const keys = new Set(rooms.map((one) => one.key));
  const named = [...sameFloor.flat(), ...outside.flatMap(([, owners]) => owners), ...ports.flatMap((one) => [one.home, ...one.adapters])];
  for (const name of named) if (!keys.has(name)) fail(`'${name}' is named but is not among the packages`);
  for (const [from, to] of sameFloor) {
    if (rooms.find((one) => one.key === from)?.floor !== rooms.find((one) => one.key === to)?.floor)
      fail(`sameFloor ${from} → ${to} are not on one floor`);
  }
  return {
    scope,
    sourceCondition: text(given['sourceCondition'], 'sourceCondition'),
    maxPackageLines: count(given['maxPackageLines'], 'maxPackageLines'),
    rooms,
    sameFloor,
    outside: Object.fromEntries(outside),
    testTools: texts(given['testTools'], 'testTools'),
    ports,
  };
}

/** The rooms that `from` may import, itself not included: lower floors, the allowed same-floor edges, never an app and never an aside package. */
export function mayImport(house: House, from: Room): Room[] {
  return house.rooms.filter((to) => {
    if (to.key === from.key || to.app || to.aside) return false;
    return to.floor < from.floor || house.sameFloor.some(([a, b]) => a === from.key && b === to.key);
  });
}
