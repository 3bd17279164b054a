/** A small log to anchor: entries, signed checkpoints of any size, proofs; and a fork of it. */
import { type Bytes, ok, utf8Encode } from '@openexec/canon';
import {
  type AnchorSubmission,
  CompactRange,
  consistencyProof,
  formatVkey,
  leafHash,
  parseVkey,
  seedSigner,
  signCheckpoint,
  treeRoot,
  type Vkey,
} from '@openexec/proof';

export const ORIGIN = 'log.example/anchored';
const signer = seedSigner({ keyName: ORIGIN, seed: new Uint8Array(32).fill(7) });

export const LOG_VKEY: Vkey = (() => {
  const vkey = parseVkey(formatVkey(signer));
  if (!vkey.ok) throw new Error(vkey.error.message);
  return vkey.value;
})();

/** A log whose leaves from `forkAt` on are its own. */
export class TestLog {
  readonly leaves: readonly Bytes[];

  constructor(size: number, forkAt = size) {
    this.leaves = Array.from({ length: size }, (_, at) => leafHash(utf8Encode(at < forkAt ? `entry ${at}` : `forged ${at}`)));
  }

  rootAt(size: number): Bytes {
    const range = CompactRange.empty();
    for (const leaf of this.leaves.slice(0, size)) range.append(leaf);
    return range.root();
  }

  async note(size: number): Promise<string> {
    const note = await signCheckpoint({ origin: ORIGIN, size: BigInt(size), root: this.rootAt(size) }, signer);
    if (!note.ok) throw new Error(note.error.message);
    return note.value;
  }

  proof(oldSize: bigint, newSize: number): Bytes[] {
    const node = (level: number, index: bigint): Bytes => {
      const count = 2 ** level;
      return treeRoot(this.leaves.slice(Number(index) * count, (Number(index) + 1) * count));
    };
    return consistencyProof(node, oldSize, BigInt(newSize));
  }

  async submission(size: number, oldSize = 0n): Promise<AnchorSubmission> {
    return {
      checkpoint: await this.note(size),
      body: { origin: ORIGIN, size: BigInt(size), root: this.rootAt(size) },
      oldSize,
      prove: async (from) => ok(this.proof(from, size)),
    };
  }
}
