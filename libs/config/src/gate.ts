/**
 * The gate policy, from text that somebody else has read: out of a commit, or out of a file. Must never be given the text of the change that it is to
 * judge; that is for whoever reads it to see to (schemas/gate-policy.schema.json).
 */
import { err, ok, type Result } from '@openexec/canon';
import { parseTlogPolicy } from '@openexec/proof';
import { type GatePolicy, gatePolicy } from '@openexec/protocol';
import { checkFile } from './check.ts';
import type { ConfigProblem } from './problems.ts';
import { parseYaml } from './source.ts';

/** Checks a gate policy, or says every problem with its place. `file` is only for messages. */
export function parseGate(text: string, file: string): Result<GatePolicy, readonly ConfigProblem[]> {
  const source = parseYaml(text, file);
  if (!source.ok) return source;
  const checked = checkFile(gatePolicy, source.value);
  if (!checked.ok || checked.value.witnesses === undefined) return checked;
  const witnesses = parseTlogPolicy(checked.value.witnesses);
  const { line, column } = source.value.at(['witnesses']);
  const problem = (message: string) => err([{ code: 'config.value' as const, message: `witnesses: ${message}`, file, line, column }]);
  if (!witnesses.ok) return problem(`it is no tlog-policy: ${witnesses.error.message}`);
  // `quorum none` would call a tree head witnessed that nobody has seen.
  return witnesses.value.quorum === null ? problem('its quorum is none, so that no witness is asked for') : ok(checked.value);
}
