/**
 * `key list`: every key that the law knows or that lies on this machine, what it may do, since and until when. Reads public halves only.
 */
import { keyInForce, type KeyRecord } from '@openexec/authority';
import { type KeyId, ok, type TrajectoryId } from '@openexec/canon';
import type { KeyFile } from '@openexec/config';
import type { LedgerStore } from '@openexec/ledger';
import type { Assurance, Role } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT } from '../exit.ts';
import { keyFiles, keysFolder } from '../keyring.ts';
import { lawOf } from '../law.ts';
import { safeLine } from '../output.ts';
import { readEvent } from '../read/events.ts';

/** One key as a program reads it. */
interface KeyRow {
  readonly keyId: string;
  readonly roles: readonly Role[];
  /** The name under which it was trusted, or null. */
  readonly name: string | null;
  /** Label of its file on this machine, or null where the private half is elsewhere. */
  readonly label: string | null;
  readonly assurance: Assurance | null;
  readonly state: 'in force' | 'retired' | 'outside its window' | 'not trusted';
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly retiredAt: number | null;
}

const LAW = 'law' as TrajectoryId; // The one name of its grammar.

/** Prints the keys of the ledger. */
export async function listAll(options: { readonly json?: boolean }, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const names = await namesOf(ledger.store);
  const files = new Map(keyFiles(keysFolder(ledger.stateFolder)).map((file) => [file.keyId, file] as const));
  const now = context.clock.now();
  const known = [...law.value.keys].map(([keyId, record]): KeyRow => {
    const state = record.retiredAt !== null ? 'retired' : keyInForce(law.value, keyId, now) === null ? 'outside its window' : 'in force';
    return rowOf(keyId, state, { record, file: files.get(keyId), name: names.get(record.publicKey) });
  });
  const strange = [...files.values()].filter(({ keyId }) => !law.value.keys.has(keyId as KeyId)); // Key files hold checked ids.
  const rows = [...known, ...strange.map((file) => rowOf(file.keyId, 'not trusted', { file }))];
  if (options.json === true) {
    context.output.json('keys', { v: 1, keys: rows });
    return ok(EXIT.ok);
  }
  for (const row of rows) context.output.result(textOf(row));
  return ok(EXIT.ok);
}

function rowOf(
  keyId: string,
  state: KeyRow['state'],
  of: { readonly record?: KeyRecord; readonly file?: KeyFile | undefined; readonly name?: string | undefined },
): KeyRow {
  const { record, file, name } = of;
  return {
    keyId,
    roles: record?.roles ?? file?.roles ?? [],
    name: name ?? null,
    label: file?.label ?? null,
    assurance: file?.assurance ?? null,
    state,
    notBefore: record?.window.notBefore ?? null,
    notAfter: record?.window.notAfter ?? null,
    retiredAt: record?.retiredAt ?? null,
  };
}

function textOf(row: KeyRow): string {
  const here = row.label === null ? 'not on this machine' : `${row.label} (here, held by ${row.assurance ?? 'file'})`;
  const window = row.state === 'in force' ? (row.notAfter === null ? '' : ` until ${row.notAfter}`) : `  ${row.state.toUpperCase()}`;
  const name = row.name === null || row.name === row.label ? '' : `  "${safeLine(row.name)}"`;
  return `${row.keyId}  ${row.roles.join(', ').padEnd(18)}  ${here}${name}${window}`;
}

/** The name under which each key was trusted last, by its public half. */
async function namesOf(store: LedgerStore): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for await (const stored of store.read(LAW)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'key.trusted') names.set(event.body.body.publicKey, event.body.body.label);
  }
  return names;
}
