/**
 * The command line as a user gets it: packed into one tarball and installed into a folder with no workspace around it. Shared by the suite of the
 * package and by the matrix of Node lines. Must never reach back into the workspace once it is installed.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const DRIVER = 'better-sqlite3';

/** Runs a command and returns its stdout; a failure is thrown with everything that it said. */
export function run(command, args, options = {}) {
  const child = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  if (child.status !== 0)
    throw new Error(
      `${command} ${args.join(' ')} ended with ${child.status ?? child.signal ?? child.error}\n${child.stdout}${child.stderr}`,
    );
  return child.stdout;
}

/** Builds and packs apps/cli into `folder`; answers with the tarball, its files and sizes in bytes, as npm tells them. */
export function packCli(folder) {
  fs.mkdirSync(folder, { recursive: true });
  run(process.execPath, [path.join(root, 'apps/cli/scripts/build.mjs')], { cwd: root });
  const said = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder, '-w', 'apps/cli'], { cwd: root });
  const [packed] = JSON.parse(said);
  if (packed === undefined || packed.files.length === 0) throw new Error('npm pack made no tarball');
  return {
    tarball: path.join(folder, packed.filename),
    files: packed.files.map((file) => file.path),
    bytes: packed.size,
    unpackedBytes: packed.unpackedSize,
  };
}

const manifestOf = (folder) => JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
const driverFolder = path.join(root, 'node_modules', DRIVER);

/** Where a package finds another: beside its own, or further up. */
function folderOf(name, from) {
  for (let at = from; at !== path.dirname(at); at = path.dirname(at)) {
    const folder = path.join(at, 'node_modules', name);
    if (fs.existsSync(path.join(folder, 'package.json'))) return folder;
  }
  throw new Error(`${name}, which ${from} needs, is not installed`);
}

/** The folders of a package and all that it depends on, by name, as the workspace has installed them. */
function closureOf(folder, found = new Map()) {
  const { name, dependencies = {} } = manifestOf(folder);
  if ((found.get(name) ?? folder) !== folder) throw new Error(`two versions of ${name} are needed; they cannot both lie at the top`);
  if (found.has(name)) return found;
  found.set(name, folder);
  for (const needed of Object.keys(dependencies)) closureOf(folderOf(needed, folder), found);
  return found;
}

/** Puts the compiled driver of the running Node where its installer looks for one; answers with the environment that says so. */
export function handOverDriver(folder) {
  fs.mkdirSync(folder, { recursive: true });
  const name = `${DRIVER}-v${manifestOf(driverFolder).version}-node-v${process.versions.modules}-${process.platform}-${process.arch}.tar.gz`;
  run('tar', ['-C', driverFolder, '-czf', path.join(folder, name), 'build/Release/better_sqlite3.node']);
  return { npm_config_better_sqlite3_local_prebuilds: folder };
}

/**
 * Installs the tarball into an empty folder without a network: what it depends on is copied out of the workspace's own packages, and the driver's
 * installer takes the compiled add-on. The folder must lie outside the workspace, or its packages would be found by walking up.
 */
export function installOffline(folder, tarball) {
  if (!path.relative(root, folder).startsWith('..')) throw new Error(`${folder} lies in the workspace`);
  const app = path.join(folder, 'app');
  fs.mkdirSync(app, { recursive: true });
  const dependencies = Object.fromEntries([...closureOf(driverFolder)].map(([name, at]) => [name, `file:${at}`]));
  dependencies.openexec = `file:${tarball}`;
  fs.writeFileSync(path.join(app, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }));
  const flags = ['--offline', '--install-links', '--no-audit', '--no-fund', '--no-package-lock', `--cache=${path.join(folder, 'cache')}`];
  run('npm', ['install', ...flags], { cwd: app, env: { ...process.env, ...handOverDriver(path.join(folder, 'driver')) } });
  return app;
}
