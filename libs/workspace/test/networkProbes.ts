/** What a command may try on the network, and what it may do without trying anything. Addresses are those for documentation (RFC 5737, RFC 3849). */

export interface Probe {
  readonly name: string;
  readonly argv: readonly string[];
  /** What must be counted: nothing, or at least one packet of a family. */
  readonly counts: 'nothing' | 'ipv4' | 'ipv6';
  /** What the probe prints, as the proof that it did what its name says. */
  readonly says: string;
  /** Runs until it is killed: after so long, or longer where it has not said its word by then. */
  readonly killedAfterMs?: number;
}

const bash = (text: string): readonly string[] => ['bash', '-c', text];
const node = (text: string): readonly string[] => ['node', '-e', text];
/** Talks to a server of its own, by address or by name. */
const local = (host: string): readonly string[] =>
  node(
    `const net=require('net');const s=net.createServer(c=>c.end('hello')).listen(0,'${host}',()=>{net.connect(s.address().port,'${host}').on('data',d=>console.log(String(d))).on('close',()=>s.close())})`,
  );
const connect = (host: string): readonly string[] => node(`require('net').connect(443,'${host}').on('error',e=>console.log(e.code))`);
const send = (type: string, host: string): readonly string[] =>
  node(`const s=require('dgram').createSocket('${type}');s.send('x',9,'${host}',e=>{console.log(e.code);s.close()})`);

export const PROBES: readonly Probe[] = [
  { name: 'TCP over IPv4', argv: connect('192.0.2.1'), counts: 'ipv4', says: 'ENETUNREACH' },
  { name: 'TCP over IPv6', argv: connect('2001:db8::1'), counts: 'ipv6', says: 'ENETUNREACH' },
  { name: 'UDP over IPv4', argv: send('udp4', '192.0.2.1'), counts: 'ipv4', says: 'ENETUNREACH' },
  { name: 'UDP over IPv6', argv: send('udp6', '2001:db8::1'), counts: 'ipv6', says: 'ENETUNREACH' },
  { name: 'a broadcast', argv: bash('echo x >/dev/udp/255.255.255.255/9 || echo tried'), counts: 'ipv4', says: 'tried' },
  { name: 'multicast DNS', argv: bash('echo x >/dev/udp/224.0.0.251/5353 || echo tried'), counts: 'ipv4', says: 'tried' },
  { name: 'a private address', argv: bash('echo x >/dev/tcp/10.0.0.1/22 || echo tried'), counts: 'ipv4', says: 'tried' },
  { name: 'the metadata service', argv: bash('echo x >/dev/tcp/169.254.169.254/80 || echo tried'), counts: 'ipv4', says: 'tried' },
  { name: 'DNS by the C library', argv: bash('getent hosts example.org || echo unknown'), counts: 'ipv4', says: 'unknown' },
  { name: 'DNS by lookup', argv: node("require('dns').lookup('example.org',e=>console.log(e.code))"), counts: 'ipv4', says: 'EAI_AGAIN' },
  {
    name: 'DNS by the resolver of Node',
    argv: node("require('dns').resolve('example.org',e=>console.log(e.code))"),
    counts: 'ipv4',
    says: 'E',
  },
  { name: 'DNS in a packet of its own', argv: bash('printf q >/dev/udp/8.8.8.8/53 || echo tried'), counts: 'ipv4', says: 'tried' },
  { name: 'DNS over TCP', argv: bash('printf q >/dev/tcp/8.8.8.8/53 || echo tried'), counts: 'ipv4', says: 'tried' },
  {
    name: 'a daemon that outlives its parent',
    argv: bash('(setsid bash -c "echo x >/dev/tcp/192.0.2.1/80; : >sent" & ) ; until [ -e sent ]; do sleep 0.05; done; echo parent'),
    counts: 'ipv4',
    says: 'parent',
  },
  {
    name: 'a command that is killed at its deadline',
    argv: bash('echo x >/dev/tcp/192.0.2.1/80; echo tried; sleep 600'),
    counts: 'ipv4',
    says: 'tried',
    killedAfterMs: 700,
  },
  { name: 'nothing at all', argv: bash('echo quiet'), counts: 'nothing', says: 'quiet' },
  { name: 'a server on 127.0.0.1', argv: local('127.0.0.1'), counts: 'nothing', says: 'hello' },
  { name: 'a server on ::1', argv: local('::1'), counts: 'nothing', says: 'hello' },
  { name: 'a server on localhost', argv: local('localhost'), counts: 'nothing', says: 'hello' },
  { name: 'any address of this host', argv: bash('echo x >/dev/tcp/0.0.0.0/1 || echo refused'), counts: 'nothing', says: 'refused' },
  { name: 'its own name', argv: bash('getent ahosts localhost; getent ahosts "$(hostname)"'), counts: 'nothing', says: '127.0.0.1' },
  { name: 'both names in both families', argv: bash('getent hosts localhost; getent hosts sandbox'), counts: 'nothing', says: 'localhost' },
  {
    name: 'a Unix socket, which is refused before there is anything to count',
    argv: node("require('net').connect('/tmp/none').on('error',e=>console.log(e.code))"),
    counts: 'nothing',
    says: 'E',
  },
  {
    name: 'a raw socket, which is refused before there is anything to count',
    argv: [
      'python3',
      '-c',
      'import socket\ntry: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\nexcept OSError as e: print("refused", e.errno)',
    ],
    counts: 'nothing',
    says: 'refused',
  },
];
