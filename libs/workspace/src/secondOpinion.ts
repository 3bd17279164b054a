/**
 * secretlint's recommended rules as a second opinion on secrets (SECURITY §5: a second opinion, not the base). Its rules are driven one by one, without
 * its core, because the core obeys "secretlint-disable" comments in the text itself, which here the attacker writes. Loaded only when a run needs it.
 */
import type { ShapeHit } from './shapes.ts';

/** Looks through a latin1 text in one piece. */
export type SecondOpinion = (text: string) => readonly ShapeHit[];

/** What secretlint's contract for rule authors says of a rule; its own types live in a package that it does not install. */
interface Rule {
  readonly meta: { readonly id: string; readonly type: string };
  create(
    context: {
      readonly sharedOptions: object;
      createTranslator(): (messageId: string) => { readonly message: string; readonly messageId: string };
      report(finding: { readonly range: readonly [number, number] }): void;
      ignore(): void;
    },
    options: object,
  ): {
    file?(source: { readonly filePath: string; readonly ext: string; readonly content: string; readonly contentType: 'text' }): unknown;
  };
}

const PREFIX = '@secretlint/secretlint-rule-';
/** Rules that are no scanners of secrets: the one that obeys comments in the text. */
const NOT_SCANNERS: ReadonlySet<string> = new Set(['filter-comments']);
/** Texts longer than this are looked at in windows, so that no pattern can run long; the overlap is longer than any credential the rules know. */
const WINDOW = 1 << 20;
const OVERLAP = 8192;
const KIND_MAX = 32;

/** Loads the rules. Slow the first time (some 10 ms), so only for commands that drive a run. */
export async function loadSecondOpinion(): Promise<SecondOpinion> {
  // Its declarations name a package that is not installed, so to the compiler the rules are untyped.
  const library = await import('@secretlint/secretlint-rule-preset-recommend');
  const rules: readonly Rule[] = library.rules;
  const found: ShapeHit[] = [];
  let base = 0;
  const scanners = rules.flatMap((rule) => {
    const kind = rule.meta.id.slice(PREFIX.length, PREFIX.length + KIND_MAX);
    if (rule.meta.type !== 'scanner' || NOT_SCANNERS.has(kind)) return [];
    return [
      rule.create(
        {
          sharedOptions: {},
          createTranslator: () => (messageId) => ({ message: messageId, messageId }),
          report: ({ range: [start, end] }) => void found.push({ start: base + start, end: base + end, kind }),
          ignore: () => undefined,
        },
        {},
      ),
    ];
  });
  if (scanners.length === 0) throw new Error('secretlint brought no rules: the package does not fit this program');
  return (text) => {
    found.length = 0;
    for (base = 0; base === 0 || base + OVERLAP < text.length; base += WINDOW - OVERLAP) {
      const content = text.slice(base, base + WINDOW);
      // The name decides which rules apply: as JSON all of them do.
      for (const scanner of scanners) void scanner.file?.({ filePath: 'output.json', ext: '.json', content, contentType: 'text' });
    }
    return found.filter((hit) => hit.end > hit.start);
  };
}
