/**
 * Synthetic secrets of twelve kinds with random bodies, from a seed. Made here, never issued by anybody; prefixes are joined from halves so that
 * scanners of this source stay quiet.
 */
export interface Synthetic {
  readonly kind: string;
  readonly secret: string;
  /** Ordinary words around it. */
  readonly before: string;
  readonly after: string;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
type Body = (length: number, alphabet?: string) => string;
const KINDS: Readonly<Record<string, (body: Body) => string>> = {
  aws: (body) => `AK${'IA'}${body(16, UPPER)}`,
  github: (body) => `gh${'p_'}${body(36)}`,
  anthropic: (body) => `sk-${'ant'}-api03-${body(80)}`,
  openai: (body) => `sk-${'proj'}-${body(48)}`,
  slack: (body) => `xox${'b-'}${body(12, '0123456789')}-${body(24)}`,
  stripe: (body) => `sk_${'live'}_${body(24)}`,
  google: (body) => `AI${'za'}${body(35)}`,
  jwt: (body) => `ey${'J'}${body(30)}.ey${'J'}${body(160)}.${body(43)}`,
  npm: (body) => `npm${'_'}${body(36)}`,
  gitlab: (body) => `gl${'pat'}-${body(20)}`,
  sendgrid: (body) => `S${'G.'}${body(22)}.${body(43)}`,
  pem: (body) =>
    `-----BEGIN ${'PRIVATE'} KEY-----\n${Array.from({ length: 12 }, () => `${body(64)}\n`).join('')}-----END ${'PRIVATE'} KEY-----`,
};
export const SYNTHETIC_KINDS = Object.keys(KINDS);

/** `count` secrets, the kinds in turn, each among words of random length. */
export function synthetic(count: number, seed: number): readonly Synthetic[] {
  let state = seed >>> 0;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const body: Body = (length, alphabet = LETTERS) => Array.from({ length }, () => alphabet[next(alphabet.length)] ?? 'a').join('');
  return Array.from({ length: count }, (_, index) => {
    const kind = SYNTHETIC_KINDS[index % SYNTHETIC_KINDS.length] ?? 'aws';
    const words = (): string => 'lorem ipsum dolor\n'.repeat(30).slice(0, 1 + next(400));
    return { kind, secret: KINDS[kind]?.(body) ?? '', before: `${words()} `, after: ` ${words()}\n` };
  });
}
