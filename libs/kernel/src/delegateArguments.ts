/**
 * The arguments of `delegate_run`, read before or after their schema was asked. Must never fill in what was not said.
 */
import type { Json } from '@openexec/canon';

/** The arguments as they were given; a member of another type, or none, is null. */
export interface DelegateArguments {
  readonly key: string | null;
  readonly blueprint: string | null;
  readonly task: string | null;
  readonly actions: readonly string[] | null;
  readonly readPaths: readonly string[] | null;
  readonly writePaths: readonly string[] | null;
  readonly tokens: number | null;
  readonly usdMicros: number | null;
  readonly calls: number | null;
  readonly wallMs: number | null;
}

/** Reads arguments that may not have passed their schema yet. */
export function delegateArguments(value: Json): DelegateArguments {
  const given: { readonly [key: string]: Json } =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as { readonly [key: string]: Json }) : {};
  const member = (name: string): Json | undefined => (Object.hasOwn(given, name) ? given[name] : undefined);
  const text = (name: string): string | null => {
    const one = member(name);
    return typeof one === 'string' ? one : null;
  };
  const whole = (name: string): number | null => {
    const one = member(name);
    return typeof one === 'number' && Number.isSafeInteger(one) && one >= 0 ? one : null;
  };
  const texts = (name: string): readonly string[] | null => {
    const one = member(name);
    return Array.isArray(one) ? (one as readonly Json[]).filter((each) => typeof each === 'string') : null;
  };
  return {
    key: text('key'),
    blueprint: text('blueprint'),
    task: text('task'),
    actions: texts('actions'),
    readPaths: texts('readPaths'),
    writePaths: texts('writePaths'),
    tokens: whole('tokens'),
    usdMicros: whole('usdMicros'),
    calls: whole('calls'),
    wallMs: whole('wallMs'),
  };
}
