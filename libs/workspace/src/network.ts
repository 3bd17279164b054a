/**
 * What a command tried to send out of its sandbox. The network namespace of a sandbox holds the loopback and no route, so the kernel refuses every
 * other destination at once and counts it: `OutNoRoutes` of IPv4 and IPv6. The counters are read from outside, through descriptors that keep the
 * namespace readable after its last process has gone; nothing inside can reset them. Host, port and protocol are not in them (PROTOCOL §9, A31–A33).
 *
 * Not counted, because they are refused before there is anything to send: raw and packet sockets and ICMP (no privilege), Unix and vsock sockets
 * (system-call filter), link-local addresses without an interface.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** For `/etc/hosts`: the local names are answered from a file, so that asking for them is no attempt. */
export const HOSTS = '127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback sandbox\n';
/** For `/etc/resolv.conf`: an address for documentation (RFC 5737), so that a look-up of any other name is a packet that is refused and counted. */
export const RESOLV_CONF = 'nameserver 192.0.2.53\noptions timeout:1 attempts:1\n';

/** Refused packets since the namespace was made. */
export interface NetworkCounts {
  readonly ipv4: number;
  readonly ipv6: number;
}
/** Both files are a few KiB on every kernel; what does not fit would only be counters behind the one that is read. */
const BYTES = 32 * 1024;

/** The counters of one network namespace. */
export class NetworkCounters {
  readonly #files: { readonly ipv4: number; readonly ipv6: number | null };
  readonly #start: NetworkCounts;

  private constructor(files: { readonly ipv4: number; readonly ipv6: number | null }, start: NetworkCounts) {
    this.#files = files;
    this.#start = start;
  }

  /** Opens the counters of the namespace that this process lives in; null where the host does not let us read them. */
  static open(pid: number): NetworkCounters | null {
    const ipv4 = tryOpen(`/proc/${pid}/net/snmp`);
    if (ipv4 === null) return null;
    // A kernel without IPv6 has no such file, and no such packets.
    const files = { ipv4, ipv6: tryOpen(`/proc/${pid}/net/snmp6`) };
    const start = countsOf(files);
    if (start !== null) return new NetworkCounters(files, start);
    closeAll(files);
    return null;
  }

  /** Packets refused since `open`; null where the counters cannot be read any more. */
  taken(): NetworkCounts | null {
    const now = countsOf(this.#files);
    return now === null ? null : { ipv4: now.ipv4 - this.#start.ipv4, ipv6: now.ipv6 - this.#start.ipv6 };
  }

  /** Lets the namespace go. */
  close(): void {
    closeAll(this.#files);
  }
}

function tryOpen(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch {
    return null;
  }
}

function closeAll(files: { readonly ipv4: number; readonly ipv6: number | null }): void {
  closeSync(files.ipv4);
  if (files.ipv6 !== null) closeSync(files.ipv6);
}

function countsOf(files: { readonly ipv4: number; readonly ipv6: number | null }): NetworkCounts | null {
  try {
    const ipv4 = columnOf(textOf(files.ipv4), 'Ip:', 'OutNoRoutes');
    const ipv6 = files.ipv6 === null ? 0 : Number(/^Ip6OutNoRoutes\s+(\d+)$/m.exec(textOf(files.ipv6))?.[1] ?? Number.NaN);
    return ipv4 !== null && Number.isSafeInteger(ipv6) ? { ipv4, ipv6 } : null;
  } catch {
    return null;
  }
}

/** From the beginning, which makes the kernel count anew. */
function textOf(file: number): string {
  const buffer = Buffer.allocUnsafe(BYTES);
  return buffer.toString('latin1', 0, readSync(file, buffer, 0, BYTES, 0));
}

/** `/proc/net/snmp` has a line of names and a line of numbers for each protocol. */
function columnOf(text: string, protocol: string, name: string): number | null {
  const [names, numbers] = text
    .split('\n')
    .filter((line) => line.startsWith(protocol))
    .map((line) => line.split(' '));
  const number = Number(numbers?.[names?.indexOf(name) ?? -1] ?? Number.NaN);
  return Number.isSafeInteger(number) ? number : null;
}
