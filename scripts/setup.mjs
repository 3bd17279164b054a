#!/usr/bin/env node
/**
 * Prepares a fresh machine, and is a quick no-op on a prepared one: `npm run setup`; `npm test` and `npm run demo` begin with it.
 * Plain Node without dependencies, because it runs before any is installed. It says what it is about to do to the machine before doing it, and
 * must never pretend: what it could not do is named together with the exact command that does it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const say = (text) => process.stderr.write(`setup: ${text}\n`);

/** A set-up step that cannot go on; `advice` is what the reader has to do. */
class Stop extends Error {
  constructor(message, advice) {
    super(`${message}\n       ${advice}`);
    this.code = 'setup.stopped';
  }
}

const succeeds = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** Whether a program of this name can be found through PATH. */
function onPath(name) {
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
    try {
      fs.accessSync(path.join(folder, name), fs.constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The versions named by `engines` in package.json: better-sqlite3 13 crashes on 22.0 to 22.13, and 21 is not supported by anybody. */
export function nodeIsSupported(version) {
  const [major, minor] = version.split('.').map(Number);
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 14) || major >= 23;
}

/** System package managers: how to install, and the names of what is needed. */
const MANAGERS = [
  {
    bin: 'apt-get',
    install: ['apt-get', 'install', '-y', '--no-install-recommends'],
    names: {
      bwrap: ['bubblewrap'],
      git: ['git'],
      compiler: ['build-essential', 'python3'],
      interop: ['golang-go', 'golang-golang-x-mod-dev', 'openssl'],
      browser: ['chromium', 'chromium-driver'],
    },
  },
  {
    bin: 'dnf',
    install: ['dnf', 'install', '-y'],
    names: { bwrap: ['bubblewrap'], git: ['git'], compiler: ['gcc-c++', 'make', 'python3'] },
  },
  { bin: 'apk', install: ['apk', 'add'], names: { bwrap: ['bubblewrap'], git: ['git'], compiler: ['g++', 'make', 'python3'] } },
  {
    bin: 'pacman',
    install: ['pacman', '-S', '--noconfirm', '--needed'],
    names: { bwrap: ['bubblewrap'], git: ['git'], compiler: ['base-devel', 'python'] },
  },
];

const manager = () => MANAGERS.find((one) => onPath(one.bin));
const isRoot = () => process.getuid?.() === 0;

/** The command a person would type to get `what`. */
export function adviceFor(what, found = manager(), asRoot = isRoot()) {
  if (process.platform === 'darwin') return what === 'compiler' ? 'xcode-select --install' : `brew install ${what}`;
  if (found === undefined)
    return `install ${what === 'compiler' ? 'a C++ compiler, make and Python 3' : what} with your system's package manager`;
  return `${asRoot ? '' : 'sudo '}${[...found.install, ...found.names[what]].join(' ')}`;
}

function checkPrograms() {
  if (!nodeIsSupported(process.versions.node)) {
    throw new Stop(
      `Node ${process.versions.node} is not supported.`,
      'Install Node 20.19 or later of line 20, or 22.14 and later: https://nodejs.org/en/download',
    );
  }
  if (!onPath('git')) throw new Stop('git is missing.', `Run: ${adviceFor('git')}`);
}

/** better-sqlite3 comes as source for Node 20; other lines may get a ready binary, so there a missing compiler is only said. */
function checkCompiler() {
  const missing = [['c++', 'g++', 'clang++'], ['make'], ['python3', 'python']].filter((names) => !names.some(onPath)).map(([name]) => name);
  if (missing.length === 0) return;
  const message = `${missing.join(', ')} missing; the SQLite driver is compiled during the install.`;
  if (process.versions.node.startsWith('20.')) throw new Stop(message, `Run: ${adviceFor('compiler')}`);
  say(`${message} If that fails, run: ${adviceFor('compiler')}`);
}

const readJson = (file) => (fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : null);

/** Why node_modules is not what the lockfile says, or null when it is. */
export function staleness(at) {
  const inOrder = (needs) => JSON.stringify(Object.entries(needs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
  const lock = readJson(path.join(at, 'package-lock.json'));
  const installed = readJson(path.join(at, 'node_modules/.package-lock.json'));
  if (lock === null) throw new Stop('package-lock.json is missing.', 'Restore it: git checkout package-lock.json');
  if (installed === null) return 'nothing is installed yet';
  for (const [name, want] of Object.entries(lock.packages)) {
    if (name === '' || name.startsWith('libs/') || name.startsWith('apps/')) {
      const manifest = readJson(path.join(at, name, 'package.json'));
      for (const field of ['dependencies', 'devDependencies']) {
        if (inOrder(manifest?.[field]) !== inOrder(want[field]))
          return `${name || 'the root'}/package.json and the lockfile differ in ${field}`;
      }
      continue;
    }
    const have = installed.packages[name];
    if (have === undefined && (want.optional || want.devOptional || want.peer)) continue;
    if (have === undefined || have.version !== want.version)
      return `${name.replace('node_modules/', '')} is not at ${want.version ?? 'its place'}`;
    if (want.link && !fs.existsSync(path.join(at, name))) return `${name} is not linked`;
  }
  for (const group of ['libs', 'apps']) {
    if (!fs.existsSync(path.join(at, group))) continue;
    for (const name of fs.readdirSync(path.join(at, group))) {
      const folder = `${group}/${name}`;
      if (fs.existsSync(path.join(at, folder, 'package.json')) && lock.packages[folder] === undefined)
        return `${folder} is not in the lockfile`;
    }
  }
  return null;
}

/** Runs a long command with its output shown and a sign of life every ten seconds. Resolves with its exit code. */
function long(command, args, sign) {
  const started = Date.now();
  const timer = setInterval(() => say(`${sign} (${Math.round((Date.now() - started) / 1000)} s)`), 10_000);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  }).finally(() => clearInterval(timer));
}

const digestOf = (file) => createHash('sha256').update(fs.readFileSync(file)).digest('hex');

/** The driver is tied to the line of Node it was compiled for, which no lockfile can tell. */
const driverLoads = () =>
  succeeds(process.execPath, [
    '-e',
    `new (require(${JSON.stringify(path.join(root, 'node_modules/better-sqlite3'))}))(':memory:').close()`,
  ]);

async function install() {
  const why = staleness(root);
  if (why !== null) {
    if (process.env.OPENEXEC_SETUP_INSTALL === 'never')
      throw new Stop(`Packages have to be installed, because ${why}.`, 'OPENEXEC_SETUP_INSTALL=never forbids that here; run: npm install');
    checkCompiler();
    say(`installing packages, because ${why}; on Node 20 this compiles SQLite and takes one to two minutes`);
    const lockfile = path.join(root, 'package-lock.json');
    const before = digestOf(lockfile);
    const code = await long('npm', ['install', '--no-audit', '--no-fund'], 'still installing');
    if (code !== 0)
      throw new Stop(`npm install failed with exit code ${code}.`, 'Its messages stand above; run it again with: npm install');
    if (digestOf(lockfile) !== before) {
      throw new Stop(
        'npm install changed package-lock.json, so what was installed is not what is recorded.',
        'Look at: git diff package-lock.json; keep it or restore it, then run this again',
      );
    }
  }
  if (driverLoads()) return why !== null;
  if (process.env.OPENEXEC_SETUP_INSTALL === 'never')
    throw new Stop(
      'The SQLite driver does not load.',
      'OPENEXEC_SETUP_INSTALL=never forbids building it here; run: npm rebuild better-sqlite3',
    );
  checkCompiler();
  say(`the SQLite driver does not load under Node ${process.versions.node}; building it again, which takes about a minute`);
  const code = await long('npm', ['rebuild', 'better-sqlite3'], 'still building');
  if (code !== 0 || !driverLoads())
    throw new Stop('The SQLite driver could not be built.', `Try: ${adviceFor('compiler')}; then: npm rebuild better-sqlite3`);
  return true;
}

/** Every file that the bundle is made of, by path, size and time of change. */
function fingerprint() {
  const hash = createHash('sha256').update(process.versions.node);
  const take = (file) => {
    const { size, mtimeMs } = fs.statSync(file);
    hash.update(`${path.relative(root, file)}\0${size}\0${mtimeMs}\n`);
  };
  const walk = (folder) => {
    if (!fs.existsSync(folder)) return;
    for (const item of fs.readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const at = path.join(folder, item.name);
      if (item.isDirectory() && !['node_modules', 'dist', 'test', 'bench'].includes(item.name)) walk(at);
      else if (item.isFile()) take(at);
    }
  };
  for (const folder of ['libs', 'apps', 'blueprints']) walk(path.join(root, folder));
  take(path.join(root, 'package-lock.json'));
  return hash.digest('hex');
}

const BUNDLE = 'apps/cli/dist/openexec.mjs';

async function build() {
  const manifest = readJson(path.join(root, 'apps/cli/package.json'));
  if (manifest?.scripts?.build === undefined)
    throw new Stop('apps/cli has no build script.', 'The command-line bundle cannot be made; is this a whole checkout?');
  const stamp = path.join(root, '.cache/setup/bundle');
  const now = fingerprint();
  if (fs.existsSync(path.join(root, BUNDLE)) && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === now) return false;
  const code = await long('npm', ['run', '--silent', 'build', '-w', 'apps/cli'], 'still bundling');
  if (code !== 0 || !fs.existsSync(path.join(root, BUNDLE)))
    throw new Stop(`The bundle ${BUNDLE} was not made (exit code ${code}).`, 'Run: npm run build -w apps/cli');
  fs.mkdirSync(path.dirname(stamp), { recursive: true });
  // The build may write generated sources, so the state after it is the one to compare with.
  fs.writeFileSync(stamp, fingerprint());
  return true;
}

const aptListsAreMissing = () =>
  !fs.existsSync('/var/lib/apt/lists') || !fs.readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'));

/** Runs commands whose isolation is the operating system's; without bubblewrap the product refuses to run any. */
async function sandbox() {
  if (process.platform !== 'linux') {
    say('no sandbox on this platform: governed commands will be refused here (exit 14)');
    return false;
  }
  let changed = false;
  if (!onPath('bwrap') && !fs.existsSync('/usr/bin/bwrap')) {
    const found = manager();
    const mayBecomeRoot = isRoot() || (onPath('sudo') && succeeds('sudo', ['-n', 'true']));
    const allowed = process.env.OPENEXEC_SETUP_SYSTEM !== 'never';
    if (found !== undefined && mayBecomeRoot && allowed) {
      const prefix = isRoot() ? [] : ['sudo', '-n'];
      const commands = [
        ...(found.bin === 'apt-get' && aptListsAreMissing() ? [['apt-get', 'update']] : []),
        [...found.install, ...found.names.bwrap],
      ];
      for (const command of commands) {
        const [bin, ...args] = [...prefix, ...command];
        say(`installing the sandbox from system packages: ${[bin, ...args].join(' ')} (OPENEXEC_SETUP_SYSTEM=never forbids this)`);
        await long(bin, args, 'still installing').catch(() => 1);
      }
      changed = true;
    }
    if (!onPath('bwrap') && !fs.existsSync('/usr/bin/bwrap')) {
      say(`bubblewrap is missing, so governed commands will be refused (exit 14). Run: ${adviceFor('bwrap')}`);
      return changed;
    }
  }
  if (!succeeds('unshare', ['-Ur', 'true']))
    say('user namespaces are not allowed for this user; `openexec doctor` tells whether the sandbox works all the same');
  return changed;
}

/** Verifiers that are not ours, for the heavy suites; only Debian has Go's libraries as packages. A suite without its verifier says that it did not run. */
export async function interop() {
  const go = onPath('go') && onPath('openssl') && fs.existsSync('/usr/share/gocode/src/golang.org/x/mod/sumdb');
  if (!go) await optional('interop', 'verifiers of other projects');
  if (!onPath('chromium') || !onPath('chromedriver')) await optional('browser', 'a browser for the page of the verifier');
}

/** Packages without which some heavy suites do not run. */
async function optional(what, title) {
  const found = manager();
  if (found?.names[what] === undefined) return;
  if (!isRoot() || process.env.OPENEXEC_SETUP_SYSTEM === 'never') {
    say(`${title}: missing; their suites will not run. Run: ${adviceFor(what)}`);
    return;
  }
  for (const [bin, ...args] of [...(aptListsAreMissing() ? [['apt-get', 'update']] : []), [...found.install, ...found.names[what]]]) {
    say(`installing ${title}: ${[bin, ...args].join(' ')} (OPENEXEC_SETUP_SYSTEM=never forbids this)`);
    await long(bin, args, 'still installing').catch(() => 1);
  }
}

/** Does whatever is still to be done. Resolves with whether there was anything. */
export async function setup() {
  checkPrograms();
  const done = [await install(), await build(), await sandbox()];
  return done.includes(true);
}

/** Runs set-up for another script; on failure prints why and ends the process with 1. */
export async function setupOrExit() {
  try {
    return await setup();
  } catch (error) {
    if (error?.code !== 'setup.stopped') throw error;
    say(error.message);
    process.exit(1);
  }
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const started = Date.now();
  const changed = await setupOrExit();
  say(`${changed ? 'ready' : 'nothing to do'} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
}
