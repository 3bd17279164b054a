/**
 * Skills: templates that a run is opened with, whose instructions are shown to models and whose limits only ever narrow the run's writ. A member that
 * is null says nothing; an empty list lets nothing through.
 */
import * as z from 'zod';
import { actionPattern, hostPattern, pathPattern } from './law.ts';
import { blobRef, count, effect, name } from './words.ts';

/** Name of a parameter, as it stands in braces in the instructions. */
const parameterName = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/);
const parameterValue = z.string().max(2000);

/** A template. Its id is the digest of its canonical bytes: a change of anything is another skill. */
export const skill = z.strictObject({
  v: z.literal(1),
  name,
  version: count.min(1),
  title: z.string().min(1).max(200),
  /** `{key}` stands for the value of a parameter; other braces stay as they are. */
  instructions: z.string().max(16_384),
  actions: z.array(actionPattern).max(128).nullable(),
  ceiling: z.array(effect).max(5).nullable(),
  readPaths: z.array(pathPattern).max(256).nullable(),
  writePaths: z.array(pathPattern).max(256).nullable(),
  hosts: z.array(hostPattern).max(256).nullable(),
  budget: z.strictObject({ tokens: count.nullable(), usdMicros: count.nullable(), calls: count.nullable() }),
  wallMs: count.nullable(),
  params: z
    .array(
      z.strictObject({
        key: parameterName,
        description: z.string().max(500),
        default: parameterValue.nullable(),
        /** Empty: any text. */
        values: z.array(parameterValue).max(64),
      }),
    )
    .max(32),
});
/** A skill of a run with the values that its opener gave. */
export const boundSkill = z.strictObject({ template: blobRef, params: z.record(parameterName, parameterValue) });

/** Parsed form of `skill`. */
export type Skill = z.infer<typeof skill>;
/** Parsed form of `boundSkill`. */
export type BoundSkill = z.infer<typeof boundSkill>;
