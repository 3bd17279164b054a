/**
 * From an address to a client, which is loaded here. It connects when it is first used. PROTOCOL §3.
 */
import { existsSync, readFileSync } from 'node:fs';
import { type ChannelCredentialOptions, EventStoreDBClient } from '@eventstore/db-client';
import { err, ok, type Result } from '@openexec/canon';
import type { OpenFailure } from '../errors.ts';
import { addressFault, type EventStoreAddress } from './address.ts';

/** A client for the address; it connects when it is first used. Reads the certificates, and refuses those that are not there. */
export function connectClient(address: EventStoreAddress): Result<EventStoreDBClient, OpenFailure> {
  const files: Buffer[] = [];
  for (const file of [address.caFile, address.certFile, address.keyFile]) {
    if (file === null) continue;
    if (!existsSync(file)) return err(addressFault(`there is no certificate or key at ${file}`));
    files.push(readFileSync(file));
  }
  const own = address.certFile === null ? [] : files.splice(-2);
  const credentials: ChannelCredentialOptions = {
    insecure: !address.tls,
    ...(files[0] === undefined ? {} : { rootCertificate: files[0] }),
    ...(own[0] === undefined || own[1] === undefined ? {} : { userCertFile: own[0], userKeyFile: own[1] }),
  };
  const shared = { ...address.numbers, defaultDeadline: address.deadlineMs, connectionName: address.connectionName };
  const [first] = address.hosts;
  if (first === undefined) return err(addressFault('it names no host'));
  const login = address.login ?? undefined;
  if (address.discover) return ok(new EventStoreDBClient({ ...shared, nodePreference: 'leader', discover: first }, credentials, login));
  if (address.hosts.length > 1)
    return ok(new EventStoreDBClient({ ...shared, nodePreference: 'leader', endpoints: [...address.hosts] }, credentials, login));
  return ok(new EventStoreDBClient({ ...shared, endpoint: first }, credentials, login));
}
