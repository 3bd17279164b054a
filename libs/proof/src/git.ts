/**
 * Git object ids in pure code: blobs, nested trees from full paths, commits; SHA-1 and SHA-256 repositories. Must never write an object
 * that git's own checks would refuse. gitformat-pack, git-hash-object(1); MECHANICS part 2 (base tree without the repository).
 */

import { type Bytes, compareBytes, concatBytes, fromHex, sha1Hex, sha256Hex, utf8Encode } from '@openexec/canon';
import { ProofFault } from './errors.ts';

/** The object format of a repository. */
export type GitFormat = 'sha1' | 'sha256';

/** Regular file, executable, symbolic link, submodule. */
export type GitMode = '100644' | '100755' | '120000' | '160000';

/** A file of a tree under its full path (`/` between names, valid UTF-8). */
export interface GitTreeEntry {
  readonly path: string;
  readonly mode: GitMode;
  readonly oid: string;
}

/** Who, when: `seconds` since 1970 and the offset as git writes it, such as `+0000`. */
export interface GitIdentity {
  readonly name: string;
  readonly email: string;
  readonly seconds: number;
  readonly offset: string;
}

/** A commit's content; the message is taken as it is, nothing is appended. */
export interface GitCommit {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: GitIdentity;
  readonly committer: GitIdentity;
  readonly message: string;
}

/** A directory under construction; a name is a file's entry or a directory. */
type Directory = Map<string, GitTreeEntry | Directory>;

const MODES = new Set<string>(['100644', '100755', '120000', '160000']);
const OFFSET = /^[+-][0-9]{4}$/;
/** git fsck: a name that would be the repository itself, in any letter case. */
const DOT_GIT = /^\.git$/i;
/** What git strips from, or cannot carry in, an identity. */
// NUL and newline would end the header line.
const IDENTITY_BREAKERS = /[<>\u0000\n]/;

/** The id of a blob with these bytes. */
export function gitBlobId(bytes: Bytes, format: GitFormat): string {
  return objectId('blob', bytes, format);
}

/** The id of the root tree over these files. Throws `fault.badPath` for paths that git refuses, twice the same, or a file that is also a directory. */
export function gitTreeId(entries: Iterable<GitTreeEntry>, format: GitFormat): string {
  const root: Directory = new Map();
  for (const entry of entries) {
    requireOid(entry.oid, format);
    if (!MODES.has(entry.mode)) throw new ProofFault('fault.badArgument', `${entry.mode} is no file mode of git`);
    insert(root, entry);
  }
  return treeId(root, format);
}

/** The id of a commit. */
export function gitCommitId(commit: GitCommit, format: GitFormat): string {
  for (const oid of [commit.tree, ...commit.parents]) requireOid(oid, format);
  return objectId('commit', gitCommitBytes(commit), format);
}

/** The bytes of a commit object, without git's object header. */
export function gitCommitBytes(commit: GitCommit): Bytes {
  if (commit.message.includes('\0')) throw new ProofFault('fault.badArgument', 'a commit message holds no NUL');
  const parents = commit.parents.map((parent) => `parent ${parent}\n`).join('');
  const people = `author ${identityText(commit.author)}\ncommitter ${identityText(commit.committer)}\n`;
  return utf8Encode(`tree ${commit.tree}\n${parents}${people}\n${commit.message}`);
}

function insert(root: Directory, entry: GitTreeEntry): void {
  const names = entry.path.split('/');
  const last = names.pop() ?? '';
  let directory = root;
  for (const name of names) {
    requireName(name, entry.path);
    const known = directory.get(name) ?? new Map();
    if (!(known instanceof Map)) throw new ProofFault('fault.badPath', `${entry.path} lies below a file`);
    directory.set(name, known);
    directory = known;
  }
  requireName(last, entry.path);
  if (directory.has(last)) throw new ProofFault('fault.badPath', `${entry.path} stands twice in one tree`);
  directory.set(last, entry);
}

/** Recursion is as deep as the paths. */
function treeId(directory: Directory, format: GitFormat): string {
  const rows = [...directory].map(([name, item]) => {
    const isDirectory = item instanceof Map;
    const mode = isDirectory ? '40000' : item.mode;
    const oid = isDirectory ? treeId(item, format) : item.oid;
    // git sorts by octets, a directory as if its name ended in a slash.
    return { order: utf8Encode(isDirectory ? `${name}/` : name), bytes: concatBytes(utf8Encode(`${mode} ${name}\0`), bytesOf(oid)) };
  });
  rows.sort((a, b) => compareBytes(a.order, b.order));
  return objectId('tree', joined(rows), format);
}

/** One after another; not by spreading, since a directory may hold more rows than a call may have arguments. */
function joined(rows: readonly { readonly bytes: Bytes }[]): Bytes {
  const body = new Uint8Array(rows.reduce((length, row) => length + row.bytes.length, 0));
  let at = 0;
  for (const { bytes } of rows) {
    body.set(bytes, at);
    at += bytes.length;
  }
  return body;
}

function objectId(kind: 'blob' | 'tree' | 'commit', body: Bytes, format: GitFormat): string {
  const bytes = concatBytes(utf8Encode(`${kind} ${body.length}\0`), body);
  return format === 'sha1' ? sha1Hex(bytes) : sha256Hex(bytes);
}

function identityText(identity: GitIdentity): string {
  const { name, email, seconds, offset } = identity;
  if (name === '' || IDENTITY_BREAKERS.test(name) || IDENTITY_BREAKERS.test(email)) {
    throw new ProofFault('fault.badIdentity', 'a name is not empty; name and email hold no <, >, newline or NUL');
  }
  if (!Number.isSafeInteger(seconds) || seconds < 0 || !OFFSET.test(offset)) {
    throw new ProofFault('fault.badIdentity', 'expected whole seconds since 1970 and an offset such as +0000');
  }
  return `${name} <${email}> ${seconds} ${offset}`;
}

function requireName(name: string, path: string): void {
  if (name === '' || name === '.' || name === '..' || DOT_GIT.test(name) || name.includes('\0')) {
    throw new ProofFault('fault.badPath', `${JSON.stringify(path)} is no path git would take`);
  }
}

function requireOid(oid: string, format: GitFormat): void {
  const digits = format === 'sha1' ? 40 : 64;
  if (oid.length !== digits || !fromHex(oid).ok)
    throw new ProofFault('fault.badArgument', `a ${format} object id has ${digits} lower-case hex digits`);
}

function bytesOf(oid: string): Bytes {
  const bytes = fromHex(oid);
  if (!bytes.ok) throw new ProofFault('fault.badArgument', bytes.error.message);
  return bytes.value;
}
