/**
 * One line of the doctor. Shapes only.
 */

/** One requirement: its state, what was seen, why it matters, and how to meet it. `bad` keeps a run from working; `note` only limits it. */
export interface Finding {
  readonly name: string;
  readonly state: 'good' | 'note' | 'bad';
  readonly said: string;
  /** What a person loses without it. */
  readonly why: string;
  /** What to do, in words; null where nothing is to be done. */
  readonly remedy: string | null;
  /** The exact command, where one command does it. */
  readonly command: string | null;
}

/** A finding that needs nothing. */
export function good(name: string, said: string, why: string): Finding {
  return { name, state: 'good', said, why, remedy: null, command: null };
}

/** A finding that wants something. */
export function wanting(
  state: 'note' | 'bad',
  finding: {
    readonly name: string;
    readonly said: string;
    readonly why: string;
    readonly remedy: string;
    readonly command?: string | null;
  },
): Finding {
  return { command: null, ...finding, state };
}
