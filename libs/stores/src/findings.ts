/** The bounded list of what an examination finds, in the same words whatever keeps the ledger. */
import { type Bytes, toHex } from '@openexec/canon';
import type { Entry, KeepFinding, Retrace } from '@openexec/ledger';
import { leavesUnder, type Subtree } from './tree.ts';
import type { HeadRow } from './view.ts';

const MAX_FINDINGS = 1000;

/** Where a row says that its entry stands. */
export interface KeptPlace {
  readonly name: string | null;
  readonly seq: number;
  readonly event: string | null;
}

/** Findings so far; the rest are counted. */
export class Findings {
  readonly list: KeepFinding[] = [];
  omitted = 0;
  firstBad: number | null = null;
  /** An entry or a payload is broken: nothing may be repaired. */
  broken = false;

  add(code: KeepFinding['code'], index: number | null, message: string): void {
    if (code === 'entry.broken' || code === 'payload.broken') this.broken = true;
    if (index !== null && (this.firstBad === null || index < this.firstBad)) this.firstBad = index;
    if (this.list.length < MAX_FINDINGS) this.list.push({ code, index, message, repaired: false });
    else this.omitted += 1;
  }

  /** Rows are asked for in order: a gap before this one is missing entries. */
  gap(expected: number, found: number): void {
    if (found !== expected) this.add('entry.broken', expected, `entries ${expected} to ${found - 1} are missing`);
  }

  /** Holds the place of a row against its entry; false where it is another. */
  place(idx: number, { name, seq, event }: KeptPlace, entry: Entry): boolean {
    if (name === entry.trajectory && seq === entry.seq && event === (entry.id ?? null)) return true;
    this.add('place.wrong', idx, `entry ${idx} is kept as ${name ?? 'nothing'} ${seq}; it is ${entry.trajectory} ${entry.seq}`);
    return false;
  }

  /** Holds the stored root of a block against its own; false where it is another, or missing. */
  subtree({ level, index, hash }: Subtree, stored: Uint8Array | undefined): boolean {
    if (stored !== undefined && toHex(Uint8Array.from(stored)) === toHex(hash)) return true;
    const leaves = leavesUnder(level);
    const state = stored === undefined ? 'missing' : 'another';
    this.add('subtree.wrong', index * leaves, `the root kept of the ${leaves} entries from ${index * leaves} on is ${state}`);
    return false;
  }

  /** Holds the stored head against what the entries make. */
  head(kept: HeadRow, { size, fingerprint, successor }: Retrace, frontier: Bytes): void {
    const wrong = (name: string, more = ''): void =>
      this.add('head.wrong', null, `the ${name} kept of the head is not that of the entries${more}`);
    if (kept.size !== size) wrong('size', `: ${kept.size} instead of ${size}`);
    if (toHex(Uint8Array.from(kept.frontier)) !== toHex(frontier)) wrong('tree');
    if (kept.fingerprint !== fingerprint) wrong('fingerprint');
    if (kept.successor !== successor) wrong('successor');
  }

  /** The list as it stands after a repair. */
  after(repaired: boolean): readonly KeepFinding[] {
    return this.list.map((finding) => ({ ...finding, repaired: repaired && finding.code !== 'blob.corrupt' }));
  }
}
