/** Postgres: who answers, and who asks: certificates, TLS on and off, passwords. A server of its own, whose settings are changed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import { folder, opened, refusalOf, removeFolders } from './support.ts';

const START_MS = 240_000;
jest.setTimeout(START_MS);
let plain: PostgresServer;
let database = '';

beforeAll(async () => {
  plain = await startPostgres();
  database = await plain.database();
}, START_MS);
afterAll(async () => {
  await plain.stop();
  removeFolders();
}, START_MS);

describe('who answers, and who asks', () => {
  let own: PostgresServer;
  let place = '';
  let rootCert = '';
  /** Runs a command as the server's own user, in its data folder. */
  const onServer = (command: string): Promise<unknown> => own.admin(`COPY (SELECT 1) TO PROGRAM '${command}'`);
  const at = (change: (url: URL) => void): string => {
    const url = new URL(place);
    change(url);
    return url.toString();
  };
  beforeAll(async () => {
    own = await startPostgres('npm');
    place = await own.database();
    await (await opened(place)).close();
    const subject = '-subj /CN=localhost -addext subjectAltName=DNS:localhost';
    await onServer(
      `env -u LD_LIBRARY_PATH openssl req -new -x509 -days 2 -nodes ${subject} -keyout server.key -out server.crt && chmod 600 server.key`,
    );
    const text = await own.admin("SELECT pg_read_file('server.crt') AS text");
    rootCert = join(folder(), 'root.crt');
    writeFileSync(rootCert, (text.rows[0] as { readonly text: string }).text);
    await onServer('sed -i "1i hostssl all encrypted 127.0.0.1/32 trust\\nhost all encrypted 127.0.0.1/32 reject" pg_hba.conf');
    await onServer('sed -i "1i host all locked 127.0.0.1/32 scram-sha-256" pg_hba.conf');
    await own.admin("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right'; CREATE ROLE encrypted LOGIN SUPERUSER");
    await own.admin('ALTER SYSTEM SET ssl = on');
    await own.admin('SELECT pg_reload_conf()');
    const isOn = async (): Promise<boolean> => ((await own.admin('SHOW ssl')).rows[0] as { readonly ssl: string }).ssl === 'on';
    for (let tries = 0; !(await isOn()); tries++) {
      if (tries > 1500) throw new Error('the server does not take its new settings');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }, START_MS);
  afterAll(async () => own.stop(), START_MS);

  test('sslmode is kept: a certificate that nobody vouches for, or for another host, is refused; require only encrypts', async () => {
    const mode = (sslMode: string, host: string, cert: string | null): string =>
      at((url) => {
        url.hostname = host;
        url.searchParams.set('sslmode', sslMode);
        if (cert !== null) url.searchParams.set('sslrootcert', cert);
      });
    expect(await refusalOf(mode('verify-full', 'localhost', null))).toBe('store.refused');
    expect(await refusalOf(mode('verify-full', '127.0.0.1', rootCert))).toBe('store.refused');
    expect(await refusalOf(mode('verify-full', 'localhost', rootCert))).toBe('opened');
    expect(await refusalOf(mode('verify-ca', '127.0.0.1', rootCert))).toBe('opened');
    expect(await refusalOf(mode('verify-ca', '127.0.0.1', null))).toBe('store.refused');
    expect(await refusalOf(mode('require', '127.0.0.1', null))).toBe('opened');
    expect(await refusalOf(mode('verify-full', 'localhost', '/nowhere/root.crt'))).toBe('store.address');
    const store = await opened(mode('require', '127.0.0.1', null));
    const seen = await own.admin(
      "SELECT bool_and(s.ssl) AS ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'openexec'",
    );
    expect(seen.rows[0]).toEqual({ ssl: true });
    await store.close();
  });

  test('a server that wants TLS says so to a connection without, and one that has none to a connection that wants it', async () => {
    expect(await refusalOf(at((url) => (url.username = 'encrypted')))).toBe('store.refused');
    expect(
      await refusalOf(
        at((url) => {
          url.username = 'encrypted';
          url.searchParams.set('sslmode', 'require');
        }),
      ),
    ).toBe('opened');
    expect(await refusalOf(`${database}?sslmode=require`)).toBe('store.refused');
  });

  test('a wrong password and a missing one are refused, the right one opens', async () => {
    const as = (password: string): string =>
      at((url) => {
        url.username = 'locked';
        url.password = password;
      });
    expect([await refusalOf(as('wrong')), await refusalOf(as('')), await refusalOf(as('right'))]).toEqual([
      'store.refused',
      'store.refused',
      'opened',
    ]);
  });
});
