/**
 * What checking a bundle says. Shapes only. PROTOCOL §§3, 11.
 */
import type { Bytes, Digest, Result } from '@openexec/canon';
import type { FindingCode } from '../report.ts';
import type { BundleFaultCode, BundleScope } from './format.ts';
import type { StatedRun } from './statement.ts';

/** What does not hold: in which part, at which leaf index where it is one entry's. */
export interface BundleFinding {
  readonly part: string;
  readonly index: number | null;
  readonly code: FindingCode | BundleFaultCode | BundleProofCode;
  readonly message: string;
}

/** What can be wrong with a proof, a blob or the statement. */
export type BundleProofCode =
  | 'proof.refused'
  | 'proof.missing'
  | 'event.misstated'
  | 'event.order'
  | 'event.notInTree'
  | 'blob.unnamed'
  | 'run.incomplete'
  | 'statement.wrong'
  | 'witness.missing'
  | 'timestamp.refused'
  | 'timestamp.missing';

/** Reads an RFC 3161 TimeStampResp over these bytes, and holds it against authorities that the reader trusts. */
export type ReadTime = (
  response: Bytes,
  data: Bytes,
) => Result<{ readonly at: string; readonly authority: string }, { readonly message: string }>;

/** A time in the bundle; `checked` null where it was not checked, or did not hold. */
export interface BundleTime {
  readonly part: string;
  readonly checked: { readonly at: string; readonly authority: string } | null;
}

/** What a bundle is held against. */
export interface BundleOptions {
  /** The fingerprint that the reader knows from elsewhere. */
  readonly trust: Digest | null;
  /** A C2SP tlog-policy of the reader's own: its cosignatures are asked for. */
  readonly policy: string | null;
  /** A checkpoint of this ledger that the reader kept from before: the bundle must continue it. */
  readonly since: string | null;
  /** Asks for times of authorities that the reader trusts. Certificates need a host's cryptography: without it times are said to be not checked. */
  readonly time?: ReadTime;
  /** Called now and then with the number of entries read. */
  readonly onProgress?: (entries: number) => void;
}

/** The outcome. `sound` is the verdict. */
export interface BundleReport {
  readonly sound: boolean;
  /** The highest that holds of signed < witnessed; null when nothing does. */
  readonly level: 'signed' | 'witnessed' | null;
  readonly trust: 'pinned' | 'selfAsserted';
  readonly fingerprint: Digest | null;
  readonly origin: string | null;
  /** Of the signed checkpoint; null where there is none that opens. */
  readonly size: number | null;
  readonly root: Digest | null;
  readonly scope: BundleScope | null;
  readonly runs: readonly StatedRun[];
  readonly cosigners: readonly string[];
  /** Over the checkpoint, and over the signature of the statement. */
  readonly times: readonly BundleTime[];
  readonly counts: {
    readonly parts: number;
    readonly entries: number;
    readonly signatures: number;
    readonly proofs: number;
    readonly tiles: number;
    readonly blobs: number;
    readonly erased: number;
    readonly withheld: number;
  };
  readonly firstBad: number | null;
  readonly findings: readonly BundleFinding[];
  /** Findings beyond those listed. */
  readonly omitted: number;
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
}
