/** The findings of one check, bounded: a hostile bundle must not fill memory with what is wrong with it. PROTOCOL §11. */
import type { BundleFinding } from './report.ts';

const MAX_FINDINGS = 1000;

/** Collects findings of one check. */
export class Findings {
  readonly list: BundleFinding[] = [];
  omitted = 0;
  firstBad: number | null = null;

  say(finding: BundleFinding): void {
    const { index } = finding;
    if (index !== null && (this.firstBad === null || index < this.firstBad)) this.firstBad = index;
    if (this.list.length < MAX_FINDINGS) this.list.push(finding);
    else this.omitted += 1;
  }

  get none(): boolean {
    return this.list.length === 0;
  }
}
