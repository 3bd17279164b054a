/** The bounded list of what an examination finds. */
import type { KeepFinding } from '@openexec/ledger';

const MAX_FINDINGS = 1000;

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

  /** The list as it stands after a repair. */
  after(repaired: boolean): readonly KeepFinding[] {
    return this.list.map((finding) => ({ ...finding, repaired: repaired && finding.code !== 'blob.corrupt' }));
  }
}
