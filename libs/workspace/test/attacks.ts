/**
 * The attack list of SECURITY §9 as data: one probe a row, run confined and, as its positive control, unconfined by the same user. A probe prints
 * WORKED when it saw itself succeed; where the outside can see more (files, listeners, processes), `seen` decides.
 */
export interface Range {
  /** Parent of both folders; the probe stands in `tree`. */
  readonly outside: string;
  readonly tree: string;
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly abstractName: string;
  readonly hits: { tcp: number; udp: number; unix: number; abstract: number };
}
export interface Attack {
  readonly id: string;
  readonly name: string;
  /** Bash text; $OUT is the outside folder's host path. */
  readonly probe: (range: Range) => string;
  /** Another probe for the control, where the very same one fails unconfined too for want of rights. */
  readonly control?: (range: Range) => string;
  /** True when the world outside shows that it worked; default: the output says WORKED. */
  readonly seen?: (range: Range, output: string, read: (path: string) => string | null) => boolean;
}

/** High, with a gap below: Node marks the first few descriptors it inherits as close-on-exec, but not those beyond a gap. */
export const LEAKED_FD = 60;
export const CANARY = 'canary-text-51c0';
const said = (command: string): string => `${command} && echo WORKED`;
const perl = (code: string): string => `perl -MSocket -e '${code}'`;
/** System calls by number [x64, arm64]. */
const nr = (x64: number, arm64: number): number => (process.arch === 'x64' ? x64 : arm64);
const perlCall = (numbers: string): string => perl(`my $b = "\\0" x 256; my $r = syscall(${numbers}); print "WORKED\\n" if $r >= 0`);
const leaked = (_: Range, output: string): boolean => output.includes(CANARY);

export const ATTACKS: readonly Attack[] = [
  { id: 'A01', name: 'read outside by absolute path', probe: () => 'cat "$OUT/secret"', seen: leaked },
  { id: 'A02', name: 'read outside by ..', probe: () => 'cat ../outside/secret', seen: leaked },
  { id: 'A03', name: 'read through a planted link', probe: () => 'cat link', seen: leaked },
  {
    id: 'A04',
    name: 'write through a planted link',
    probe: () => 'echo x >> link',
    seen: (range, _, read) => read(`${range.outside}/secret`) !== CANARY,
  },
  {
    id: 'A06',
    name: 'hard-link a file of the system or of the outside',
    probe: () => `${said('ln /usr/bin/env h')}; ${said('ln "$OUT/own" h2')}`,
  },
  {
    id: 'A07',
    name: 'write system areas',
    probe: () => 'for d in /usr /usr/bin /etc /dev / /opt /home /proc /sys; do touch "$d/openexec-probe" && echo WORKED; done',
    control: () => said('touch "$OUT/openexec-probe"'),
  },
  {
    id: 'A08',
    name: 'fill memory through the root folder',
    probe: () => said('dd if=/dev/zero of=/fill bs=1M count=1'),
    control: () => said('dd if=/dev/zero of="$OUT/fill" bs=1M count=1'),
  },
  {
    id: 'A09',
    name: 'remount or unmount',
    probe: () =>
      `${said('mount -o remount,rw /')}; ${said('umount /usr')}; ${said('mount -t tmpfs none /tmp')}; ${perlCall(`${nr(166, 39)}, "/usr", 2`)}`,
    control: () => said('unshare -Urm mount -t tmpfs none /tmp'),
  },
  { id: 'A10', name: 'nested user namespace', probe: () => `${said('unshare -Urm true')}; ${perlCall(`${nr(272, 97)}, 0x10000000`)}` },
  { id: 'A11', name: 'device node', probe: () => `${said('mknod d b 254 0')}; ${said('mknod c c 1 3')}`, control: () => said('mknod p p') },
  {
    id: 'A12',
    name: 'set-user-id file, four ways',
    probe: () =>
      `cp /usr/bin/env s1; chmod 4755 s1; install -m 4755 /usr/bin/env s2; install -m 2755 /usr/bin/env s3; ${perl('use Fcntl; sysopen(my $f, "s4", O_CREAT|O_WRONLY, 04755)')}; ${perl(
        `my $how = pack("QQQ", 0101, 04755, 0); syscall(437, -100, "s5", $how, 24)`,
      )}; find . -perm /6000 | grep . && echo WORKED`,
  },
  {
    id: 'A13',
    name: 'environment of the runtime',
    probe: () => 'cat /proc/1/environ /proc/$PPID/environ /proc/*/environ | tr "\\0" "\\n" | grep RUNTIME_CANARY && echo WORKED',
    control: () => 'cat /proc/self/environ | tr "\\0" "\\n" | grep RUNTIME_CANARY && echo WORKED',
  },
  {
    id: 'A14',
    name: 'host paths in the arguments of any process',
    probe: () => 'x=$(cat /proc/*/cmdline | tr "\\0" "\\n"); [[ $x == *"$OUT"* ]] && echo WORKED',
    control: () =>
      'perl -e "sleep 60" "$OUT" & for i in {1..400}; do x=$(cat /proc/$!/cmdline | tr "\\0" "\\n"); [[ $x == *"$OUT"* ]] && echo WORKED && break; sleep 0.05; done; kill $!',
  },
  {
    id: 'A15',
    name: 'root, folder and descriptors of pid 1',
    probe: () => 'cat "/proc/1/root$OUT/secret" "/proc/self/root$OUT/secret" /proc/1/cwd/../outside/secret /proc/1/fd/*/secret',
    seen: leaked,
  },
  {
    id: 'A16',
    name: 'overwrite the running binary',
    probe: () => `for f in /proc/1/exe /proc/self/exe /usr/bin/bwrap; do { echo x >> "$f"; } 2>/dev/null && echo WORKED; done`,
    control: () => said('{ echo x >> "$OUT/own"; }'),
  },
  {
    id: 'A17',
    name: 'settings of the kernel',
    probe: () =>
      'for f in kernel/core_pattern kernel/hostname vm/drop_caches net/ipv4/ip_forward; do v=$(cat /proc/sys/$f 2>/dev/null); { echo "$v" > /proc/sys/$f; } 2>/dev/null && echo WORKED; done',
    control: () => said('{ echo 500 > /proc/self/oom_score_adj; }'),
  },
  {
    id: 'A18',
    name: 'descriptor leaked by the runtime',
    probe: () => `cat /proc/self/fd/${LEAKED_FD}/secret /proc/1/fd/${LEAKED_FD}/secret; ls -l /proc/self/fd /proc/1/fd`,
    seen: (_, output) => output.includes(CANARY) || output.includes('openexec-test-leak'),
  },
  {
    id: 'A31',
    name: 'TCP to the host',
    probe: (range) => `exec 3<>/dev/tcp/127.0.0.1/${range.tcpPort}; sleep 0.2`,
    seen: (range) => range.hits.tcp > 0,
  },
  {
    id: 'A32',
    name: 'UDP to the host',
    probe: (range) => `echo x > /dev/udp/127.0.0.1/${range.udpPort}; sleep 0.2`,
    seen: (range) => range.hits.udp > 0,
  },
  {
    id: 'A33',
    name: 'a DNS question to a name server of the host',
    probe: (range) =>
      `${perl(`socket(my $s, PF_INET, SOCK_DGRAM, 17); send($s, pack("n6", 1, 256, 1, 0, 0, 0) . "\\7example\\3org\\0\\0\\1\\0\\1", 0, sockaddr_in(${range.udpPort}, inet_aton("127.0.0.1")))`)}; sleep 0.2`,
    seen: (range) => range.hits.udp > 0,
  },
  {
    id: 'A34',
    name: 'Unix socket in the workspace',
    probe: () => `node -e 'require("net").connect("host.sock").on("error",()=>{}).on("connect",s=>process.exit())'; sleep 0.1`,
    seen: (range) => range.hits.unix > 0,
  },
  {
    id: 'A35',
    name: 'abstract Unix socket',
    probe: (range) =>
      `node -e 'require("net").connect("\\0${range.abstractName}").on("error",()=>{}).on("connect",()=>process.exit())'; sleep 0.1`,
    seen: (range) => range.hits.abstract > 0,
  },
  {
    id: 'A36',
    name: 'sockets of daemons',
    probe: () =>
      'for f in /var/run/docker.sock /run/docker.sock /run/dbus /run/user /tmp/.X11-unix /run /var/run /var/lib; do test -e "$f" && echo "WORKED $f"; done; env | grep -E "SSH_AUTH_SOCK|DBUS_|DISPLAY" && echo WORKED',
    control: () => said('test -e /run'),
  },
  {
    id: 'A37',
    name: 'other socket families',
    probe: () =>
      perl('for my $f (1, 40, 17, 38, 31, 44, 21, 29, 30) { for my $t (1, 2, 3, 5) { print "WORKED $f\\n" if socket(my $s, $f, $t, 0) } }'),
  },
  { id: 'A38', name: 'io_uring', probe: () => perlCall('425, 1, $b') },
  {
    id: 'A59',
    name: 'look into other processes',
    probe: () =>
      `${perlCall(`${nr(101, 117)}, 0, 0, 0, 0`)}; ${perl(`my $b = "\\0" x 64; my $v = pack("QQ", unpack("Q", pack("p", $b)), 8); print "WORKED\\n" if syscall(${nr(310, 270)}, $$ + 0, $v, 1, $v, 1, 0) >= 0`)}; ${perl(`my $p = syscall(434, $$ + 0, 0); print "WORKED\\n" if $p >= 0 && syscall(438, $p, 0, 0) >= 0`)}`,
  },
  {
    id: 'A60',
    name: 'terminal injection',
    probe: () =>
      `script -qec "perl -e 'my \\$c = q(x); print qq(WORKED\\n) if ioctl(STDIN, 0x5412, \\$c)'" /dev/null; ${perl('my $c = "\\3"; print "WORKED\\n" if ioctl(STDIN, 0x541c, $c)')}`,
  },
];
