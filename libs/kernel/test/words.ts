/** The judgements of a run as lines that people can read, for tests that hold them word for word. Leaves ids out and nothing that was decided. */
import type { Json } from '@openexec/canon';
import type { RunDriver } from '@openexec/kernel/fixture';

/** Every reason in a body, in the order of its members: `code: message`, or `why: message` of what was noted. */
function reasonsIn(value: Json): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return (value as readonly Json[]).flatMap(reasonsIn);
  const members = value as { readonly [name: string]: Json };
  const [code, message] = [members['code'] ?? members['why'], members['message']];
  if (typeof code === 'string' && typeof message === 'string') return [`${code}: ${message}`];
  return Object.keys(members)
    .sort()
    .flatMap((name) => reasonsIn(members[name] ?? null));
}
/** One line for each judgement: its kind, how it turned out, and its reasons; ids are cut, since they are digests of what else is held here. */
export function linesOf(run: RunDriver): string[] {
  return run.judged.map(({ kind, body }) => {
    const members = body as unknown as { readonly [name: string]: Json };
    const told = ['verdict', 'outcome', 'at', 'attempt', 'stage', 'to', 'turn', 'backoffMs', 'timeoutMs']
      .map((name) => members[name])
      .filter((each) => typeof each === 'string' || typeof each === 'number');
    return [kind, ...told, ...reasonsIn(body)].join(' | ').replaceAll(/sha256:[0-9a-f]{64}|[0-9a-f]{32,40}/g, '…');
  });
}
