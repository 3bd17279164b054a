/**
 * Authority: the fold of `law`, writs and their containment, budgets, votes. Pure; decides who may, never what is wise. PROTOCOL §§5, 6.
 */
export { approvalDigest, checkVote, countVotes, voterProblem } from './approvals.ts';
export type { ApprovalStanding, CheckedVote, RequestInForce, VoteProblem, VoteProblemCode, Voter } from './approvals.ts';
export { Book } from './book.ts';
export { addAmount, BUDGET_DIMENSIONS, fitsBudget, NO_AMOUNT, subtractAmount, withinAmount } from './budgets.ts';
export type { BudgetDimension, BudgetProblem } from './budgets.ts';
export { checkChain, checkLinks } from './chain.ts';
export type { CheckedChain, WritProblem, WritProblemCode } from './chain.ts';
export { foldLaw } from './fold.ts';
export type { LawEntry, LawProblem, LawProblemCode } from './fold.ts';
export { emptyLaw, isRevoked, keyInForce, keyWithRole } from './law.ts';
export type { AdoptedBundle, KeyProblem, KeyRecord, LawView } from './law.ts';
export { coversAction, coversHost, coversPath, isPlainPath, matchAction, matchHost, matchPath } from './patterns.ts';
export { narrowWrit, renderSkill, skillProblem } from './skills.ts';
export type { SkillProblem, SkillProblemCode } from './skills.ts';
export { bodyType, checkSignature, foundLedger, issueWrit, signBody, VOTE_TYPE, WRIT_TYPE } from './signing.ts';
export { carveTrajectory, containsWrit, isCarved, runTrajectory, scopeOf, writId } from './writs.ts';
export type { ScopeProblem, ScopeRequest, WidenProblem, WritDimension } from './writs.ts';
