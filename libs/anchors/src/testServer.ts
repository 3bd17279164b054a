/**
 * A door for tests only, of this package and of those above it; never part of what ships. A time stamping authority: `openssl ts` behind a real HTTP
 * server.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A running authority. */
export interface Tsa {
  readonly url: string;
  /** PEM of the root, and its file. */
  readonly ca: string;
  readonly caFile: string;
  readonly folder: string;
  /** Answers with these bytes instead of a time stamp; undefined: a time stamp again. */
  say(reply: { readonly status: number; readonly body: Uint8Array } | undefined): void;
  stamp(request: Uint8Array): Buffer;
  close(): Promise<void>;
}

interface TsaOptions {
  readonly key?: 'rsa' | 'ec';
  readonly extensions?: 'tsa' | 'loose';
  readonly essDigest?: string;
}

const CONFIG = (folder: string, digest: string): string => `
[ req ]
distinguished_name = dn
prompt = no
[ dn ]
CN = Test TSA
[ ca ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[ tsa ]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = critical,timeStamping
[ loose ]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = timeStamping
[ tsa_section ]
serial = ${folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.3.6.1.4.1.4146.2.3
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
ess_cert_id_alg = ${digest}
`;

/** Keys, certificates and answers of an authority, in a folder of its own. `extensions: loose` gives a certificate whose usage is not critical. */
function makeAuthority(options: TsaOptions): { readonly folder: string; stamp(request: Uint8Array): Buffer } {
  const { key = 'rsa', extensions = 'tsa', essDigest = 'sha256' } = options;
  const folder = mkdtempSync(join(tmpdir(), 'openexec-tsa-'));
  const openssl = (words: string): void =>
    void execFileSync('openssl', words.split(' '), { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
  writeFileSync(join(folder, 'tsa.cnf'), CONFIG(folder, essDigest));
  writeFileSync(join(folder, 'serial'), '01\n');
  const kind = key === 'rsa' ? 'rsa:2048' : 'ec -pkeyopt ec_paramgen_curve:P-256';
  openssl(`req -x509 -newkey ${kind} -nodes -keyout ca.key -out ca.pem -days 30 -config tsa.cnf -extensions ca -subj /CN=Root`);
  openssl(`req -newkey ${kind} -nodes -keyout tsa.key -out tsa.csr -config tsa.cnf`);
  openssl(
    `x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile tsa.cnf -extensions ${extensions} -out tsa.pem`,
  );
  const stamp = (request: Uint8Array): Buffer => {
    writeFileSync(join(folder, 'request.tsq'), request);
    openssl(
      'ts -reply -queryfile request.tsq -signer tsa.pem -inkey tsa.key -chain ca.pem -config tsa.cnf -section tsa_section -out reply.tsr',
    );
    return readFileSync(join(folder, 'reply.tsr'));
  };
  return { folder, stamp };
}

/** Makes an authority and serves it. */
export async function startTsa(options: TsaOptions = {}): Promise<Tsa> {
  const { folder, stamp } = makeAuthority(options);
  let reply: { readonly status: number; readonly body: Uint8Array } | undefined;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(reply?.status ?? 200, { 'content-type': 'application/timestamp-reply' });
      response.end(reply?.body ?? stamp(Buffer.concat(chunks)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    url: `http://127.0.0.1:${address.port}/tsa`,
    ca: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    caFile: join(folder, 'ca.pem'),
    folder,
    say: (said) => {
      reply = said;
    },
    stamp,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
