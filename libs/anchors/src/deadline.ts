/**
 * An anchor that answers within a bound, whatever the place behind it does. Must never say that something did not arrive only because nobody waited
 * for the answer. PROTOCOL §3 (anchors).
 */
import { err, type Result } from '@openexec/canon';
import type { Anchor, AnchorError, AnchorReceipt } from '@openexec/proof';

/** The same anchor; what has not answered after `timeoutMs` is `anchor.unknown`, and its late answer is dropped. */
export function withDeadline(anchor: Anchor, timeoutMs: number): Anchor {
  return {
    name: anchor.name,
    type: anchor.type,
    submit: (submission) =>
      new Promise<Result<AnchorReceipt, AnchorError>>((resolve, reject) => {
        const late = (): void =>
          resolve(err({ code: 'anchor.unknown', message: `${anchor.name} gave no answer within ${timeoutMs / 1000} seconds` }));
        const timer = setTimeout(late, timeoutMs);
        anchor.submit(submission).then(
          (answer) => {
            clearTimeout(timer);
            resolve(answer);
          },
          (fault: unknown) => {
            clearTimeout(timer);
            reject(fault);
          },
        );
      }),
  };
}
