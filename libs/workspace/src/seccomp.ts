/**
 * The system-call filter as classic BPF, assembled here so that no native code is needed: deny list on default allow, wrong architecture killed,
 * x32 and clone3 answer ENOSYS. Must stay deterministic: its digest is part of the sandbox profile (SECURITY §8.4).
 */
import { type Bytes, type Digest, digestOf } from '@openexec/canon';

/** CPUs with a table of system calls; others have no sandbox. */
export type SeccompArch = 'x64' | 'arm64';

// Offsets into struct seccomp_data (linux/seccomp.h); arguments are 64 bits, little endian.
const OFFSET_NR = 0;
const OFFSET_ARCH = 4;
const argumentLow = (index: number): number => 16 + 8 * index;

// linux/bpf_common.h
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_BITS = 0x45;
const AND = 0x54;
const RETURN = 0x06;

// linux/seccomp.h and asm-generic/errno*.h
const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const errno = (code: number): number => 0x00050000 | code;
const EPERM = errno(1);
const ENOSYS = errno(38);
const EAFNOSUPPORT = errno(97);

/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 (linux/audit.h). */
const AUDIT: Readonly<Record<SeccompArch, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const X32_BIT = 0x40000000;

/** Numbers by name: [x64, arm64], null where the CPU has no such call (asm/unistd_64.h, asm-generic/unistd.h). */
const CALLS = {
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  pidfd_getfd: [438, 438],
  kcmp: [312, 272],
  process_madvise: [440, 440],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  fanotify_init: [300, 262],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  setns: [308, 268],
  unshare: [272, 97],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  open_tree_attr: [467, 467],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  swapon: [167, 224],
  swapoff: [168, 225],
  reboot: [169, 142],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  syslog: [103, 116],
  vhangup: [153, 58],
  lookup_dcookie: [212, 18],
  nfsservctl: [180, 42],
  iopl: [172, null],
  ioperm: [173, null],
  modify_ldt: [154, null],
  uselib: [134, null],
  clone: [56, 220],
  clone3: [435, 435],
  openat2: [437, 437],
  ioctl: [16, 29],
  socket: [41, 198],
  socketpair: [53, 199],
  chmod: [90, null],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  creat: [85, null],
  open: [2, null],
  openat: [257, 56],
  mknod: [133, null],
  mknodat: [259, 33],
} as const;
type Call = keyof typeof CALLS;

/** Calls refused whatever their arguments: everything above `clone` in the table. */
const REFUSED: readonly Call[] = (Object.keys(CALLS) as Call[]).slice(0, (Object.keys(CALLS) as Call[]).indexOf('clone'));

const NAMESPACE_FLAGS = 0x7e020000;
const SET_ID_BITS = 0o6000;
const CREATE_FLAGS = 0o100 | 0o20000000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFREG = 0o100000;

type Target = 'allow' | 'kill' | 'eperm' | 'enosys' | 'family' | 'next';
/** One instruction with its jump targets still as names; `next` falls through, `skip` jumps to the end of the current block. */
interface Line {
  readonly code: number;
  readonly k: number;
  readonly yes?: Target | number;
  readonly no?: Target | number;
}
const ENDINGS: readonly { readonly name: Exclude<Target, 'next'>; readonly k: number }[] = [
  { name: 'allow', k: ALLOW },
  { name: 'kill', k: KILL },
  { name: 'eperm', k: EPERM },
  { name: 'enosys', k: ENOSYS },
  { name: 'family', k: EAFNOSUPPORT },
];

/** Tests on one call's arguments: entered only for that call, always leaves to an ending. */
function whenCall(number: number | null, body: readonly Line[]): readonly Line[] {
  return number === null ? [] : [{ code: JUMP_EQUAL, k: number, no: body.length }, ...body];
}
const load = (offset: number): Line => ({ code: LOAD, k: offset });
const bitsRefused = (index: number, bits: number): readonly Line[] => [
  load(argumentLow(index)),
  { code: JUMP_BITS, k: bits, yes: 'eperm', no: 'allow' },
];
const onlyOf = (index: number, values: readonly number[], otherwise: Target): readonly Line[] => [
  load(argumentLow(index)),
  ...values.map((k): Line => ({ code: JUMP_EQUAL, k, yes: 'allow', no: 'next' })),
  { code: JUMP_AT_LEAST, k: 0, yes: otherwise, no: otherwise },
];
const noneOf = (index: number, values: readonly number[]): readonly Line[] => [
  load(argumentLow(index)),
  ...values.map((k, at): Line => ({ code: JUMP_EQUAL, k, yes: 'eperm', no: at === values.length - 1 ? 'allow' : 'next' })),
];
/** Creating opens with set-id bits are refused; opens that create nothing ignore the mode. */
const createModes = (flags: number | null, mode: number): readonly Line[] =>
  flags === null
    ? bitsRefused(mode, SET_ID_BITS)
    : [load(argumentLow(flags)), { code: JUMP_BITS, k: CREATE_FLAGS, yes: 'next', no: 'allow' }, ...bitsRefused(mode, SET_ID_BITS)];
const pipesOnly = (mode: number): readonly Line[] => {
  const [first, ...rest] = onlyOf(mode, [0, S_IFREG, S_IFIFO], 'eperm');
  return first === undefined ? [] : [first, { code: AND, k: S_IFMT }, ...rest];
};

function lines(arch: SeccompArch): readonly Line[] {
  const column = arch === 'x64' ? 0 : 1;
  const number = (call: Call): number | null => CALLS[call][column];
  const list: Line[] = [load(OFFSET_ARCH), { code: JUMP_EQUAL, k: AUDIT[arch], yes: 'next', no: 'kill' }, load(OFFSET_NR)];
  if (arch === 'x64') list.push({ code: JUMP_AT_LEAST, k: X32_BIT, yes: 'enosys', no: 'next' });
  for (const call of REFUSED) {
    const k = number(call);
    if (k !== null) list.push({ code: JUMP_EQUAL, k, yes: 'eperm', no: 'next' });
  }
  for (const call of ['clone3', 'openat2'] as const) list.push({ code: JUMP_EQUAL, k: number(call) ?? 0, yes: 'enosys', no: 'next' });
  const families = onlyOf(0, [AF_INET, AF_INET6, AF_NETLINK], 'family');
  list.push(
    ...whenCall(number('clone'), bitsRefused(0, NAMESPACE_FLAGS)),
    ...whenCall(number('ioctl'), noneOf(1, [TIOCSTI, TIOCLINUX])),
    ...whenCall(number('socket'), families),
    ...whenCall(number('socketpair'), onlyOf(0, [AF_UNIX], 'family')),
    ...whenCall(number('chmod'), bitsRefused(1, SET_ID_BITS)),
    ...whenCall(number('fchmod'), bitsRefused(1, SET_ID_BITS)),
    ...whenCall(number('fchmodat'), bitsRefused(2, SET_ID_BITS)),
    ...whenCall(number('fchmodat2'), bitsRefused(2, SET_ID_BITS)),
    ...whenCall(number('creat'), createModes(null, 1)),
    ...whenCall(number('open'), createModes(1, 2)),
    ...whenCall(number('openat'), createModes(2, 3)),
    ...whenCall(number('mknod'), pipesOnly(1)),
    ...whenCall(number('mknodat'), pipesOnly(2)),
  );
  return list;
}

/** The filter program: 8 bytes an instruction, little endian, as `bwrap --seccomp` reads it. */
export function seccompProgram(arch: SeccompArch): Bytes {
  const list = lines(arch);
  const program = new Uint8Array((list.length + ENDINGS.length) * 8);
  const view = new DataView(program.buffer);
  const write = (at: number, code: number, yes: number, no: number, k: number): void => {
    view.setUint16(at * 8, code, true);
    view.setUint8(at * 8 + 2, yes);
    view.setUint8(at * 8 + 3, no);
    view.setUint32(at * 8 + 4, k >>> 0, true);
  };
  const distance = (from: number, target: Target | number | undefined): number => {
    if (target === undefined || target === 'next') return 0;
    const far = typeof target === 'number' ? target : list.length + ENDINGS.findIndex((ending) => ending.name === target) - from - 1;
    if (far < 0 || far > 255) throw new Error(`a jump of the system-call filter spans ${far} instructions; at most 255 can be written`);
    return far;
  };
  list.forEach((line, at) => {
    write(at, line.code, distance(at, line.yes), distance(at, line.no), line.k);
  });
  ENDINGS.forEach((ending, at) => {
    write(list.length + at, RETURN, 0, 0, ending.k);
  });
  return program;
}

/** Digest by which a sandbox profile names the filter. */
export function seccompDigest(arch: SeccompArch): Digest {
  return digestOf(seccompProgram(arch));
}

/** The filter table of this machine, or null where there is none and so no sandbox. */
export function seccompArch(): SeccompArch | null {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : null;
}
