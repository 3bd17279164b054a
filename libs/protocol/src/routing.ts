/**
 * Why a model was chosen: the words of whoever chose it. Evidence only: recorded, exported with what was measured, and read by nothing that decides
 * (specs: routing evidence; PROTOCOL §4.2 `router.planned`).
 */
import * as z from 'zod';
import { code, count, digest, name } from './words.ts';

/** PROVIDER:NAME. */
const modelName = z.string().regex(/^[a-z][a-z0-9_.-]{0,63}:[^\u0000-\u001f\u007f]{1,128}$/);
const basisPoints = count.max(10_000);
const reasonCodes = z.array(code).max(32);

/** A choice between models. `decision` is the router's own name for it, under which it finds the outcome again. */
export const routingPlan = z.strictObject({
  v: z.literal(1),
  router: name,
  decision: digest,
  selected: modelName,
  candidates: z
    .array(
      z.strictObject({
        model: modelName,
        reasons: reasonCodes,
        confidenceBps: basisPoints.nullable(),
        latencyEstimateMs: count.nullable(),
        costEstimateUsdMicros: count.nullable(),
      }),
    )
    .min(1)
    .max(64),
  reasons: reasonCodes,
  fallback: z.strictObject({ model: modelName, reason: code }).nullable(),
});
/** Parsed form of `routingPlan`. */
export type RoutingPlan = z.infer<typeof routingPlan>;
