/**
 * A lease on a run across hosts: an advisory lock of a session of its own in the ledger's database. A holder that dies gives it back with its
 * connection, at once; one that only lost its connection asks for it again before it starts anything. Must never wait. PROTOCOL §4.4.
 */
import { err, ok, type Result } from '@openexec/canon';
import pg from 'pg';
import type { Lease, LeaseFailure } from '../lease.ts';
import { parseAddress } from './address.ts';
import { clientConfig, isOutcome, openRefusal } from './connect.ts';

/** No answer for so long is no lease. */
const ANSWER_MS = 10_000;
/** A host that vanished without a word is given up by the server after about half a minute. */
const SESSION = 'SET tcp_keepalives_idle TO 15; SET tcp_keepalives_interval TO 5; SET tcp_keepalives_count TO 3';

/** Takes the lease at once or not at all. `name` is what it is for; leases of other ledgers in the same database are others. */
export async function acquirePostgresLease(options: {
  readonly address: string;
  readonly name: string;
}): Promise<Result<Lease, LeaseFailure>> {
  const address = parseAddress(options.address);
  if (!address.ok) return err({ code: 'lease.unavailable', message: address.error.message });
  const config = clientConfig(address.value, 'openexec lease');
  if (!config.ok) return err({ code: 'lease.unavailable', message: config.error.message });
  const { schema } = address.value;
  const lease = new SessionLease({ ...config.value, query_timeout: ANSWER_MS }, `openexec/lease/${schema}/${options.name}`);
  try {
    if (await lease.take()) return ok(lease);
    return err({ code: 'lease.held', message: `${options.name} is held by a living process` });
  } catch (error) {
    if (!isOutcome(error)) throw error;
    return err({ code: 'lease.unavailable', message: openRefusal(error, address.value).message });
  }
}

class SessionLease implements Lease {
  readonly #config: pg.ClientConfig;
  readonly #lock: string;
  #client: pg.Client | null = null;
  #released = false;

  constructor(config: pg.ClientConfig, lock: string) {
    this.#config = config;
    this.#lock = lock;
  }

  /** Connects and takes the lock; false where somebody alive has it. */
  async take(): Promise<boolean> {
    const client = new pg.Client(this.#config);
    const gone = (): void => {
      if (this.#client === client) this.#client = null;
    };
    client.on('error', gone);
    client.on('end', gone);
    try {
      await client.connect();
      await client.query(SESSION);
      const answer = await client.query<{ readonly taken: boolean }>('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS taken', [
        this.#lock,
      ]);
      if (answer.rows[0]?.taken === true && !this.#released) {
        this.#client = client;
        return true;
      }
    } catch (error) {
      await ended(client);
      throw error;
    }
    await ended(client);
    return false;
  }

  async held(): Promise<boolean> {
    if (this.#released) return false;
    try {
      if (this.#client !== null) {
        await this.#client.query('SELECT 1');
        return true;
      }
    } catch (error) {
      if (!isOutcome(error)) throw error;
    }
    // The session ended, and the lock with it. Whoever took it meanwhile has it; else it is ours again.
    const broken = this.#client;
    this.#client = null;
    if (broken !== null) await ended(broken);
    try {
      return await this.take();
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return false;
    }
  }

  async release(): Promise<void> {
    this.#released = true;
    const client = this.#client;
    this.#client = null;
    if (client !== null) await ended(client);
  }
}

/** Ends a connection that may have ended by itself. */
async function ended(client: pg.Client): Promise<void> {
  try {
    await client.end();
  } catch (error) {
    if (!isOutcome(error)) throw error;
  }
}
