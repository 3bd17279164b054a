/**
 * The system-call filter, run by a small interpreter of classic BPF: decisions for both CPUs, also the one this machine is not. That the kernel
 * reads it the same way is shown by the attack list.
 */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type SeccompArch, seccompDigest, seccompProgram } from '../src/index.ts';

type Verdict = 'allow' | 'kill' | number;
function decide(program: Uint8Array, nr: number, arch: number, args: readonly (number | bigint)[] = []): Verdict {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr >>> 0, true);
  data.setUint32(4, arch >>> 0, true);
  args.forEach((arg, index) => data.setBigUint64(16 + 8 * index, BigInt.asUintN(64, BigInt(arg)), true));
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let acc = 0;
  for (let at = 0, steps = 0; steps < 1000; steps += 1, at += 1) {
    const op = view.getUint16(at * 8, true);
    const [yes, no, k] = [view.getUint8(at * 8 + 2), view.getUint8(at * 8 + 3), view.getUint32(at * 8 + 4, true)];
    if (op === 0x20) acc = data.getUint32(k, true);
    else if (op === 0x54) acc = (acc & k) >>> 0;
    else if (op === 0x15) at += acc === k ? yes : no;
    else if (op === 0x35) at += acc >= k ? yes : no;
    else if (op === 0x45) at += (acc & k) !== 0 ? yes : no;
    else if (op === 0x06) return k === 0x7fff0000 ? 'allow' : k === 0x80000000 ? 'kill' : k & 0xffff;
    else throw new Error(`unknown instruction ${op}`);
  }
  throw new Error('the program does not end');
}

const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

describe.each(['x64', 'arm64'] as SeccompArch[])('the filter for %s', (arch) => {
  const program = seccompProgram(arch);
  const n = (x64: number, arm64: number): number => (arch === 'x64' ? x64 : arm64);
  const ask = (nr: number, ...args: (number | bigint)[]): Verdict => decide(program, nr, AUDIT[arch], args);

  test('ordinary calls pass: read, write, execve, futex, mmap, openat for reading', () => {
    for (const nr of [n(0, 63), n(1, 64), n(59, 221), n(202, 98), n(9, 222), n(39, 172)]) expect(ask(nr)).toBe('allow');
    expect(ask(n(257, 56), -100, 0, 0, 0o7777)).toBe('allow');
  });
  test('another CPU in the same process is killed', () => {
    for (const other of [0x40000003, 0x40000028, AUDIT[arch === 'x64' ? 'arm64' : 'x64']]) expect(decide(program, 1, other)).toBe('kill');
  });
  test('debugging, io_uring, keys, bpf, mounts, modules, clocks and namespaces are refused', () => {
    for (const nr of [
      n(101, 117),
      425,
      426,
      427,
      n(248, 217),
      n(250, 219),
      n(321, 280),
      n(323, 282),
      n(165, 40),
      n(166, 39),
      428,
      429,
      430,
      442,
      n(155, 41),
      n(161, 51),
      n(308, 268),
      n(272, 97),
      n(310, 270),
      438,
      n(304, 265),
      n(175, 105),
      n(246, 104),
      n(169, 142),
      n(227, 112),
      n(170, 161),
    ]) {
      expect([nr, ask(nr)]).toEqual([nr, EPERM]);
    }
    expect([ask(435), ask(437)]).toEqual([ENOSYS, ENOSYS]);
  });
  test('clone passes for threads and processes and is refused with any namespace flag', () => {
    expect([ask(n(56, 220), 0x3d0f00), ask(n(56, 220), 17)]).toEqual(['allow', 'allow']);
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
      expect(ask(n(56, 220), flag | 17)).toBe(EPERM);
  });
  test('sockets: only INET, INET6 and NETLINK; pairs: only UNIX; the upper half of a register decides nothing', () => {
    for (let family = 0; family < 50; family += 1) {
      expect(ask(n(41, 198), family)).toBe([2, 10, 16].includes(family) ? 'allow' : EAFNOSUPPORT);
      expect(ask(n(53, 199), family)).toBe(family === 1 ? 'allow' : EAFNOSUPPORT);
    }
    expect(ask(n(41, 198), 0x1_0000_0001n)).toBe(EAFNOSUPPORT);
  });
  test('set-id bits are refused in every call that can set them', () => {
    const calls: (readonly [number | null, (mode: number) => (number | bigint)[]])[] = [
      [arch === 'x64' ? 90 : null, (mode) => [0, mode]],
      [n(91, 52), (mode) => [0, mode]],
      [n(268, 53), (mode) => [0, 0, mode]],
      [452, (mode) => [0, 0, mode]],
      [arch === 'x64' ? 85 : null, (mode) => [0, mode]],
      [arch === 'x64' ? 2 : null, (mode) => [0, 0o101, mode]],
      [n(257, 56), (mode) => [0, 0, 0o101, mode]],
      [n(257, 56), (mode) => [0, 0, 0o20200002, mode]],
    ];
    for (const [nr, args] of calls) {
      if (nr === null) continue;
      for (const mode of [0o4755, 0o2755, 0o6000]) expect([nr, ask(nr, ...args(mode))]).toEqual([nr, EPERM]);
      for (const mode of [0o755, 0o1777, 0]) expect([nr, ask(nr, ...args(mode))]).toEqual([nr, 'allow']);
    }
  });
  test('terminal injection is refused, other terminal calls pass; device nodes are refused, pipes pass', () => {
    expect([ask(n(16, 29), 0, 0x5412), ask(n(16, 29), 0, 0x541c), ask(n(16, 29), 0, 0x5401), ask(n(16, 29), 0, 0x1_0000_5412n)]).toEqual([
      EPERM,
      EPERM,
      'allow',
      EPERM,
    ]);
    expect([
      ask(n(259, 33), 0, 0, 0o60644),
      ask(n(259, 33), 0, 0, 0o20644),
      ask(n(259, 33), 0, 0, 0o140644),
      ask(n(259, 33), 0, 0, 0o10644),
    ]).toEqual([EPERM, EPERM, EPERM, 'allow']);
  });
  test('every number and argument gets an answer', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x7fffffff }),
        fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 6, maxLength: 6 }),
        (nr, args) => ['allow', EPERM, ENOSYS, EAFNOSUPPORT].includes(ask(nr, ...args)),
      ),
    );
  });
  test('x32 numbers do not exist', () => {
    expect(ask(0x40000000 + 101)).toBe(arch === 'x64' ? ENOSYS : 'allow');
  });
});

test('the digests that profiles name are frozen', () => {
  expect([seccompDigest('x64'), seccompDigest('arm64')]).toEqual([
    'sha256:bd0216e22547650933a00d1c5846b4b274de3607e5fced7f332a6a40ee1e6658',
    'sha256:a3ceaca7cb879099c481df1f54015641ad8dfe11eb37adf1a65b7fb3c8ec0aeb',
  ]);
});
