/**
 * `@openexec/kernel/fixture`: founded ledgers and scripted runs over the real kernel, for the tests and benches of every package above. Never
 * part of a product: its keys are published. SEAM "three consumers of judge".
 */

export { type FactOptions, RunDriver, type Script, type ScriptedCall, type Watch, writeFile } from './fixture/drive.ts';
export { blobOf, type Grant, House, keyOf, nonceOf, PEOPLE, type Person } from './fixture/house.ts';
export { driverNamed, FIX_LOOP, MODEL, ONE_AGENT, ONE_CHECK, type OpenedPlan, openPlan, type RunPlan, SHIPPED } from './fixture/plan.ts';
export { type Change, entriesOf, type Forged, rechained } from './fixture/rechain.ts';
