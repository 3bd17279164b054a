/**
 * From a recorded answer to calls: the neutral answer is parsed by shape, every call's `arguments` by the strict parser. What is malformed
 * becomes a call that is refused and told so, never an exception and never a guess (MECHANICS part 2).
 */
import { type Bytes, err, type Json, ok, parseJson, type Result } from '@openexec/canon';
import type { Claims, Reason } from '@openexec/protocol';
import { isObject } from './arguments.ts';
import { cut, splitClaims } from './tools.ts';

/** Largest neutral answer that is read. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** More calls than this in one answer are not a plan but a flood. */
const MAX_CALLS = 64;

/** A call of a model's answer, before it is declared. */
export interface Call {
  readonly id: string;
  readonly name: string;
  readonly arguments: Json;
  readonly claims: Claims;
  readonly malformed: Reason | null;
}
/** An answer as the kernel takes it; a call that could not be read carries its reason. */
export interface ReadAnswer {
  readonly text: string;
  readonly finish: string;
  readonly calls: readonly Call[];
}

function readCall(value: Json): Call | null {
  if (!isObject(value)) return null;
  const id = value['id'];
  const name = value['name'];
  const source = value['arguments'];
  if (typeof id !== 'string' || typeof name !== 'string' || typeof source !== 'string') return null;
  const call = { id: cut(id, 256), name: cut(name, 128) };
  const none = { rationale: null, claimedRisk: null };
  const json = parseJson(source === '' ? '{}' : source, { maxBytes: MAX_ANSWER_BYTES, numbers: 'doubles' });
  if (!json.ok)
    return {
      ...call,
      arguments: null,
      claims: none,
      malformed: { code: 'arguments.malformed', message: `the arguments of ${call.name} are not strict JSON: ${json.error.message}` },
    };
  if (!isObject(json.value))
    return {
      ...call,
      arguments: null,
      claims: none,
      malformed: { code: 'arguments.malformed', message: `the arguments of ${call.name} are not an object` },
    };
  const split = splitClaims(json.value);
  return {
    ...call,
    arguments: split.arguments,
    claims: split.claims,
    malformed: null,
  };
}

/** Reads the canonical bytes of a neutral answer. */
export function readAnswer(bytes: Bytes | undefined): Result<ReadAnswer, Reason> {
  if (bytes === undefined) return err({ code: 'answer.missing', message: 'the recorded answer is not there' });
  const json = parseJson(bytes, { maxBytes: MAX_ANSWER_BYTES, numbers: 'doubles' });
  if (!json.ok) return err({ code: 'answer.invalid', message: `the recorded answer is not strict JSON: ${json.error.message}` });
  const body = json.value;
  if (!isObject(body)) return err({ code: 'answer.invalid', message: 'the recorded answer is not an object' });
  const text = body['text'];
  const finish = body['finish'];
  const calls = body['calls'];
  if (typeof text !== 'string' || typeof finish !== 'string' || !Array.isArray(calls))
    return err({ code: 'answer.invalid', message: 'the recorded answer lacks text, finish or calls' });
  if (calls.length > MAX_CALLS)
    return err({ code: 'answer.flood', message: `the answer holds ${calls.length} calls; at most ${MAX_CALLS} are read` });
  const read: Call[] = [];
  for (const value of calls as readonly Json[]) {
    const call = readCall(value);
    if (call === null) return err({ code: 'answer.invalid', message: 'a call lacks id, name or arguments' });
    read.push(call);
  }
  return ok({ text, finish, calls: read });
}
