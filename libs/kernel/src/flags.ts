/**
 * Version and behaviour flags of the kernel. A change of behaviour takes a new number, never reused; a run keeps the flags it opened with, for
 * ever (PROTOCOL §4.2).
 */

/** Version of the judging rules that `run.opened` names. */
export const KERNEL_VERSION = '1';
/** Every flag this kernel knows, by number; version 1 opens runs with none. */
export const KERNEL_FLAGS: readonly number[] = [];
