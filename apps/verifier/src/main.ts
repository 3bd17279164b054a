/**
 * `openexec-verify PATH`: an audit bundle, checked offline by whoever received it. One file, without dependency or native code; shares nothing with the
 * stores or the runtime. Exit 0 sound, 20 not, 2 wrong use or nothing to read (CLI.md, PROTOCOL §11).
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { type Digest, parseDigest } from '@openexec/canon';
import { bundleLines, type BundleReport, coverageLines, safeText, verifyBundle } from '@openexec/verify';
import { openBundle } from '@openexec/verify/files';

declare const OPENEXEC_VERSION: string;

const EXIT = { sound: 0, usage: 2, unsound: 20 } as const;
const MAX_NOTE_BYTES = 1024 * 1024;
const PLAIN = { safe: safeText, good: (text: string) => text, bad: (text: string) => text };
const HELP = `openexec-verify PATH [--trust FINGERPRINT] [--policy FILE] [--since FILE] [--json]

Checks an audit bundle (a folder or a tar file), offline.

  --trust FINGERPRINT  the fingerprint of the ledger, as you know it from elsewhere: sha256:…
  --policy FILE        a C2SP tlog-policy of your own: the witnesses that must have cosigned
  --since FILE         a checkpoint of this ledger that you kept from before
  --json               one JSON document
  --version            the version of this program

Exit: 0 sound · 20 not sound · 2 wrong use, or nothing to read

Example:
  openexec-verify change.tar --trust sha256:…
`;

interface Wanted {
  readonly path: string;
  readonly trust: Digest | null;
  readonly policy: string | null;
  readonly since: string | null;
  readonly json: boolean;
}

/** Ends the program with a message; nothing was checked. */
class Usage extends Error {
  readonly code = 'usage.invalid';
}

async function main(): Promise<number> {
  const wanted = read();
  if (wanted === null) return EXIT.sound;
  const opened = await openBundle(wanted.path);
  if (!opened.ok) {
    const { code, part, message } = opened.error;
    process.stderr.write(`${code}: ${safeText(part)}: ${safeText(message)}\n`);
    return code === 'bundle.unreadable' ? EXIT.usage : EXIT.unsound;
  }
  try {
    const { trust, policy, since } = wanted;
    const report = await verifyBundle(opened.value.parts, { trust, policy, since });
    process.stdout.write(wanted.json ? `${JSON.stringify({ v: 1, exit: exitOf(report), ...report })}\n` : textOf(report));
    return exitOf(report);
  } finally {
    await opened.value.close();
  }
}

function exitOf({ sound }: BundleReport): number {
  return sound ? EXIT.sound : EXIT.unsound;
}

function textOf(report: BundleReport): string {
  return [...bundleLines(report, PLAIN), ...coverageLines(report)].map((line) => `${line}\n`).join('');
}

/** What is wanted; null when help or the version was printed. */
function read(): Wanted | null {
  const { values, positionals } = parsed();
  if (values.help === true || values.version === true) {
    process.stdout.write(values.help === true ? HELP : `${OPENEXEC_VERSION}\n`);
    return null;
  }
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new Usage('name one bundle: a folder or a tar file');
  const trust = values.trust === undefined ? null : parseDigest(values.trust);
  if (trust?.ok === false) throw new Usage('--trust takes a fingerprint: sha256: and 64 lower-case hex digits');
  return {
    path,
    trust: trust === null ? null : trust.value,
    policy: note(values.policy),
    since: note(values.since),
    json: values.json === true,
  };
}

function parsed() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        trust: { type: 'string' },
        policy: { type: 'string' },
        since: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new Usage((error as Error).message);
  }
}

function note(file: string | undefined): string | null {
  if (file === undefined) return null;
  try {
    const bytes = readFileSync(file);
    if (bytes.length <= MAX_NOTE_BYTES) return bytes.toString('utf8');
  } catch (error) {
    throw new Usage(`${safeText(file)} cannot be read (${String((error as { readonly code?: unknown }).code)})`);
  }
  throw new Usage(`${safeText(file)} is too large for a note`);
}

main().then(
  (exit) => {
    process.exitCode = exit;
  },
  (error: unknown) => {
    const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
    process.stderr.write(
      `${safeText(String(message))}\n${code === 'usage.invalid' ? 'openexec-verify --help shows the options and an example\n' : ''}`,
    );
    process.exitCode = code === 'usage.invalid' ? EXIT.usage : EXIT.unsound;
  },
);
