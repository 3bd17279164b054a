/**
 * The hands of a run: its own tree, git behind one door, the sandbox, redaction. Must never decide anything. ARCHITECTURE §3, SECURITY.
 */

export { type Applied, type ApplyOptions, applyBranch, diffCommits, readBlob } from './apply.ts';
export { type CommitFacts, commitsBeyond, fileAt, mergedTree, pathsBetween, readCommit } from './change.ts';
export { forkPoint, type ForkOptions } from './fork.ts';
export { type Identity, sandboxIdentity } from './identity.ts';
export type { KnownSecret } from './known.ts';
export { BRANCH_PREFIX } from './land.ts';
export type { ApplyConflict, ChangedFile } from './merge.ts';
export { blobToFile, BUNDLES_REF, keepBundle, noteLines, NOTES_REF, writeNote } from './notes.ts';
export { isGitName } from './paths.ts';
export { type HostPlaces, SANDBOX_ENVIRONMENT } from './plan.ts';
export { createRedactor, type Redactor, type RedactorOptions, type SecretHit, type StreamRedactor } from './redaction.ts';
export { inspectRepository, type RepositoryFacts, type RepositoryPlace, resolveCommit } from './repository.ts';
export { loadSecondOpinion, type SecondOpinion } from './secondOpinion.ts';
export { type CreateSandboxOptions, createSandbox } from './sandbox.ts';
export { type SeccompArch, seccompArch, seccompDigest, seccompProgram } from './seccomp.ts';
export { TREE_LIMITS, type TreeLimits } from './snapshot.ts';
export { describeToolchain, type Toolchain } from './toolchain.ts';
export { type OpenWorkspaceOptions, openWorkspace } from './workspace.ts';
