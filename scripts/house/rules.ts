/**
 * Generates dependency-cruiser's rules from house.json, so that no import rule is ever written by hand a second time.
 * Pure: a house in, rules out. `npm run house -- --rules` prints them.
 */
import type { House, Room } from './model.ts';
import { mayImport } from './model.ts';

/** The part of dependency-cruiser's rule format that the house uses. */
export interface Rule {
  readonly name: string;
  readonly severity: 'error';
  readonly comment: string;
  readonly from: Readonly<Record<string, unknown>>;
  readonly to: Readonly<Record<string, unknown>>;
}

const quote = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
const anyOf = (list: readonly string[]): string => (list.length === 0 ? '(?!)' : `(${list.map(quote).join('|')})`);
const inside = (room: Room): string => `^${quote(room.folder)}/`;

function rule(name: string, comment: string, from: Rule['from'], to: Rule['to']): Rule {
  return { name, severity: 'error', comment, from, to };
}

/** A package sees lower floors and its listed neighbours; type-only imports count. */
function floorRules(house: House): Rule[] {
  return house.rooms.map((room) => {
    const allowed = [room.folder, ...mayImport(house, room).map((one) => one.folder)];
    return rule(
      `floor:${room.key}`,
      `${room.key} (floor ${room.floor}) imports lower floors only`,
      { path: inside(room) },
      { path: '^(libs|apps)/', pathNot: `^${anyOf(allowed)}/` },
    );
  });
}

/** No built-in module on a pure floor, save the files that house.json names and only the modules named there. */
function pureRules(house: House): Rule[] {
  return house.rooms
    .filter((room) => room.pure)
    .flatMap((room) => {
      const exempt = Object.entries(room.builtins);
      const files = exempt.map(([file]) => `${room.folder}/${file}`);
      return [
        rule(
          `pure:${room.key}`,
          `${room.key} is pure: no Node module`,
          { path: `${inside(room)}src/`, pathNot: `^${anyOf(files)}$` },
          { dependencyTypes: ['core'] },
        ),
        ...exempt.map(([file, modules]) =>
          rule(
            `pure:${room.key}/${file}`,
            `${room.key}/${file} may use ${modules.join(', ')} only`,
            { path: `^${quote(`${room.folder}/${file}`)}$` },
            { dependencyTypes: ['core'], pathNot: `^(node:)?${anyOf(modules)}$` },
          ),
        ),
      ];
    });
}

/** Sources use an outside package only where house.json says who owns it. */
function ownerRules(house: House): Rule[] {
  const owned = Object.entries(house.outside).map(([name, owners]) => {
    const folders = house.rooms.filter((room) => owners.includes(room.key)).map((room) => room.folder);
    return rule(
      `owner:${name}`,
      `${name} belongs to ${owners.join(', ')}`,
      { path: '^(libs|apps)/[^/]+/src/', pathNot: `^${anyOf(folders)}/` },
      { path: `(^|/)node_modules/${quote(name)}/` },
    );
  });
  const unlisted = rule(
    'owner:nobody',
    'an outside package needs an owner in house.json',
    { path: '^(libs|apps)/[^/]+/src/' },
    { path: '(^|/)node_modules/', pathNot: `(^|/)node_modules/${anyOf(Object.keys(house.outside))}/` },
  );
  return [...owned, unlisted];
}

/** Every rule for dependency-cruiser. */
export function cruiserRules(house: House): Rule[] {
  const doors = house.rooms.flatMap((room) => Object.values(room.doors).map((file) => `${room.folder}/${file}`));
  return [
    rule('cycle', 'no import cycle at run time', {}, { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } }),
    ...floorRules(house),
    rule(
      'deep-import',
      'another package is entered by its front door, src/index.ts',
      { path: '^(libs|apps)/([^/]+)/' },
      { path: '^(libs|apps)/[^/]+/', pathNot: ['^$1/$2/', '^(libs|apps)/[^/]+/src/index\\.ts$', `^${anyOf(doors)}$`] },
    ),
    ...pureRules(house),
    ...ownerRules(house),
    rule(
      'test-in-source',
      'what ships imports nothing that does not',
      { path: '^(libs|apps)/[^/]+/src/' },
      { path: '^(libs|apps)/[^/]+/(test|bench|bin|scripts)/' },
    ),
    rule('unresolved', 'an import must lead somewhere', {}, { couldNotResolve: true }),
  ];
}
