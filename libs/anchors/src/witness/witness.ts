/**
 * A witness: one remembered tree head per log, in a file each. Checks, persists and only then cosigns, one request of an origin after the other.
 * Must never cosign what it has not made durable, nor start anew where its memory cannot be read. c2sp.org/tlog-witness.
 */
import { join } from 'node:path';
import {
  canonicalText,
  err,
  fromHex,
  type Json,
  ok,
  parseDecimal,
  parseJson,
  type Result,
  sha256Hex,
  toHex,
  utf8Encode,
} from '@openexec/canon';
import { cosign, judgeAddCheckpoint, parseAddCheckpoint, type CheckpointBody, type Signer, type Vkey } from '@openexec/proof';
import { faultCode, readText, replaceFile } from '../files.ts';

/** What is said to one request. */
export interface WitnessAnswer {
  readonly status: number;
  readonly type: 'text/plain; charset=utf-8' | 'text/x.tlog.size';
  readonly body: string;
}

/** What a witness is made of. `state` is a folder that this process alone writes. */
export interface WitnessParts {
  readonly state: string;
  readonly signer: Signer;
  /** Keys of the logs it knows; the key's name is the origin. */
  readonly logs: readonly Vkey[];
  /** POSIX seconds. */
  now(): bigint;
  /** Told of every answer, for the operator. */
  readonly onAnswer?: (answer: {
    readonly origin: string | null;
    readonly status: number;
    readonly size: bigint | null;
    readonly message: string;
  }) => void;
}

interface Remembered {
  readonly size: bigint;
  readonly root: CheckpointBody['root'];
}

/** Answers requests. */
export class Witness {
  readonly #parts: WitnessParts;
  /** The last piece of work of each origin: the next one waits for it. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(parts: WitnessParts) {
    this.#parts = parts;
  }

  /** Answers the body of an add-checkpoint request. Never rejects. */
  async add(text: string): Promise<WitnessAnswer> {
    const request = parseAddCheckpoint(text);
    if (!request.ok) return this.#say(null, null, 400, request.error.message);
    const { origin, size } = request.value.claimed;
    const vkeys = this.#parts.logs.filter(({ keyName }) => keyName === origin);
    if (vkeys.length === 0) return this.#say(origin, size, 404, 'this log is not known here');
    return this.#inOrder(origin, async () => {
      const last = this.#remembered(origin);
      if (!last.ok) return this.#say(origin, size, 500, last.error);
      const judged = judgeAddCheckpoint(request.value, { vkeys, last: last.value });
      if (judged.status === 409) {
        this.#say(origin, size, 409, judged.message);
        return { status: 409, type: 'text/x.tlog.size', body: `${judged.size}\n` };
      }
      if (judged.status !== 200) return this.#say(origin, size, judged.status, judged.message);
      const kept = this.#remember(judged.body, request.value.checkpoint);
      if (!kept.ok) return this.#say(origin, size, 500, kept.error);
      const line = await cosign(judged.text, this.#parts.signer, this.#parts.now());
      this.#say(origin, size, 200, 'cosigned');
      return { status: 200, type: 'text/plain; charset=utf-8', body: line };
    });
  }

  /** Reading, judging and persisting are one step: nothing of the same origin comes in between. */
  async #inOrder(origin: string, work: () => Promise<WitnessAnswer>): Promise<WitnessAnswer> {
    const before = this.#last.get(origin) ?? Promise.resolve();
    const mine = before.then(work);
    const settled = mine.catch(() => undefined);
    this.#last.set(origin, settled);
    try {
      return await mine;
    } catch (error) {
      return this.#say(origin, null, 500, faultCode(error));
    }
  }

  #remembered(origin: string): Result<Remembered | null, string> {
    const path = this.#fileOf(origin);
    try {
      const text = readText(path);
      if (text === null) return ok(null);
      const head = headIn(text, origin);
      return head === null ? err(`${path} is no remembered tree head; nothing is cosigned until it is put right`) : ok(head);
    } catch (error) {
      return err(`${path} cannot be read (${faultCode(error)})`);
    }
  }

  #remember({ origin, size, root }: CheckpointBody, checkpoint: string): Result<void, string> {
    const path = this.#fileOf(origin);
    try {
      replaceFile(path, `${canonicalText({ checkpoint, origin, root: toHex(root), size: `${size}`, v: 1 })}\n`);
      return ok(undefined);
    } catch (error) {
      return err(`${path} cannot be written (${faultCode(error)})`);
    }
  }

  #fileOf(origin: string): string {
    return join(this.#parts.state, `${sha256Hex(utf8Encode(origin))}.json`);
  }

  /** What the operator reads may name files; what the client reads of a fault on our side does not. */
  #say(origin: string | null, size: bigint | null, status: number, message: string): WitnessAnswer {
    this.#parts.onAnswer?.({ origin, size, status, message });
    return { status, type: 'text/plain; charset=utf-8', body: `${status === 500 ? 'this witness cannot answer now' : message}\n` };
  }
}

function headIn(text: string, wanted: string): Remembered | null {
  const json = parseJson(text);
  if (!json.ok || typeof json.value !== 'object' || json.value === null || Array.isArray(json.value)) return null;
  const { origin, root, size, v } = json.value as { readonly [member: string]: Json }; // Neither null nor a list: checked.
  const bytes = typeof root === 'string' ? fromHex(root) : undefined;
  const number = typeof size === 'string' ? parseDecimal(size) : undefined;
  if (v !== 1 || origin !== wanted || bytes?.ok !== true || bytes.value.length !== 32 || number?.ok !== true) return null;
  return { size: number.value, root: bytes.value };
}
