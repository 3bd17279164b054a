/**
 * The attack list of the security design, row by row: what proves each. Must name a test for every row that is given, or say plainly why there is none
 * yet. `attackTable.test.ts` holds it against the tests.
 */

/** Where a row is proven. */
export interface ProvenBy {
  /** File in this folder, or as seen from it. */
  readonly file: string;
  /** Words of a test's or group's title. */
  readonly title: string;
}
/** One attack. Exactly one of the three members says how it stands. */
export interface AttackRow {
  readonly id: string;
  readonly attack: string;
  /** True where it is a probe of `attacks.ts`, run confined and unconfined, as root and as an ordinary user. */
  readonly probe?: true;
  /** Whole procedures with their own control; `attacksAsUser.test.ts` runs them as an ordinary user too. */
  readonly tests?: readonly ProvenBy[];
  /** Why there is no test. */
  readonly absent?: string;
}

const contract = (title: string): ProvenBy => ({ file: 'sandbox.contract.ts', title });
const sandbox = (title: string): ProvenBy => ({ file: 'sandbox.test.ts', title });
const workspace = (title: string): ProvenBy => ({ file: 'workspace.test.ts', title });
const tree = (title: string): ProvenBy => ({ file: 'workspace.contract.ts', title });
const redaction = (title: string): ProvenBy => ({ file: 'redaction.test.ts', title });
const keeper = (title: string): ProvenBy => ({ file: '../../stores/test/keeper.test.ts', title });
const scale = (title: string): ProvenBy => ({ file: 'redaction.scale.test.ts', title });
const masked = (title: string): ProvenBy => ({ file: 'masked.test.ts', title });
const PROXY = 'the profile "networked" and its proxy are not built; a run that asks for the network is refused';

export const ATTACK_ROWS: readonly AttackRow[] = [
  { id: 'A01', attack: 'read outside, absolute', probe: true },
  { id: 'A02', attack: 'read outside, ..', probe: true },
  { id: 'A03', attack: 'read through a planted link', probe: true },
  { id: 'A04', attack: 'write through a planted link', probe: true },
  { id: 'A05', attack: 'write through a hard link present at the start', tests: [sandbox('A05: a file linked with one outside')] },
  { id: 'A06', attack: 'make a hard link to a system file', probe: true },
  { id: 'A07', attack: 'write system areas', probe: true },
  { id: 'A08', attack: 'fill memory through the root folder', probe: true },
  { id: 'A09', attack: 'remount or unmount', probe: true },
  { id: 'A10', attack: 'nested user namespace', probe: true },
  { id: 'A11', attack: 'device node', probe: true },
  { id: 'A12', attack: 'set-user-id file, four ways', probe: true },
  { id: 'A13', attack: 'environment of the runtime', probe: true },
  { id: 'A14', attack: 'arguments and host paths', probe: true },
  { id: 'A15', attack: 'root, folder, descriptors of pid 1', probe: true },
  { id: 'A16', attack: 'overwrite the running binary', probe: true },
  { id: 'A17', attack: 'settings of the kernel', probe: true },
  { id: 'A18', attack: 'leaked descriptor', probe: true },
  { id: 'A19', attack: 'a protected path is a link', tests: [contract('A19, A23: protected paths are read-only')] },
  { id: 'A20', attack: 'a file that runs by itself appears', tests: [sandbox('A20: what something would run by itself')] },
  { id: 'A21', attack: '.git pointer swapped', tests: [workspace('A21: a .git pointer or folder planted')] },
  { id: 'A22', attack: 'disguised .git', tests: [tree('A22: what cannot be recorded is refused')] },
  { id: 'A23', attack: 'rename a protected folder', tests: [contract('A19, A23: protected paths are read-only')] },
  { id: 'A24', attack: 'edit race', tests: [workspace('A24: edits beside a swapper')] },
  { id: 'A31', attack: 'TCP to the host', probe: true },
  { id: 'A32', attack: 'UDP to the host', probe: true },
  { id: 'A33', attack: 'DNS', probe: true },
  { id: 'A34', attack: 'Unix socket in the workspace', probe: true },
  { id: 'A35', attack: 'abstract socket', probe: true },
  { id: 'A36', attack: 'sockets of daemons', probe: true },
  { id: 'A37', attack: 'other socket families', probe: true },
  { id: 'A38', attack: 'io_uring', probe: true },
  { id: 'A39', attack: 'proxy: allow and deny', absent: PROXY },
  { id: 'A40', attack: 'ignore the proxy', absent: PROXY },
  { id: 'A49', attack: 'fork bomb', tests: [contract('A49: a fork bomb is bounded')] },
  {
    id: 'A50',
    attack: 'memory',
    tests: [contract('A50: more memory than granted'), contract('A50: many processes together'), sandbox('A50 without control groups')],
  },
  { id: 'A51', attack: 'disk', tests: [contract('A51: growth of the workspace in bytes'), contract('A51: growth in files is stopped')] },
  { id: 'A52', attack: 'fill scratch folders', tests: [contract('A52: scratch folders end')] },
  { id: 'A53', attack: 'output flood', tests: [contract('A53: a flood is cut'), contract('A53: one endless line')] },
  { id: 'A54', attack: 'hostile output', tests: [contract('A54: hostile bytes are kept')] },
  { id: 'A55', attack: 'never ends', tests: [contract('A55: a command that')] },
  { id: 'A56', attack: 'daemons', tests: [contract('A56: daemons do not outlive')] },
  { id: 'A57', attack: 'kill outward', tests: [sandbox('A57: signals sent to everybody')] },
  { id: 'A58', attack: 'the runtime is killed', tests: [sandbox('A58: when the runtime is killed')] },
  { id: 'A59', attack: 'look into other processes', probe: true },
  { id: 'A60', attack: 'terminal injection', probe: true },
  { id: 'A69', attack: 'hooks', tests: [workspace('A69–A71: reading, opening, snapshots')] },
  { id: 'A70', attack: 'programs named in configuration', tests: [workspace('A69–A71: reading, opening, snapshots')] },
  { id: 'A71', attack: 'named drivers', tests: [workspace('A69–A71: reading, opening, snapshots')] },
  { id: 'A72', attack: 'hide from review', tests: [tree('A72–A74: ignore files, attributes')] },
  { id: 'A73', attack: 'hide from the snapshot', tests: [tree('A72–A74: ignore files, attributes')] },
  { id: 'A74', attack: 'nested repositories', tests: [tree('A72–A74: ignore files, attributes')] },
  {
    id: 'A83',
    attack: 'secret split over chunks',
    tests: [redaction('A83: secrets of every kind'), scale('three thousand synthetic secrets of twelve kinds (A83)')],
  },
  { id: 'A84', attack: 'private key in small chunks', tests: [redaction('A84: private keys')] },
  { id: 'A85', attack: 'known secret in other encodings', tests: [redaction('A85: known secrets in other clothes')] },
  { id: 'A88', attack: 'erasure leaves nothing', tests: [keeper('leaves none of 100 canaries in any file')] },
  {
    id: 'A110',
    attack: 'the sandbox is missing',
    tests: [sandbox('A110: when bubblewrap'), sandbox('A110: a bubblewrap that others may write')],
  },
  {
    id: 'A120',
    attack: 'read what writ or policy deny',
    tests: [masked('A120: what the profile masks is read'), masked('A120: what stands beside')],
  },
];
