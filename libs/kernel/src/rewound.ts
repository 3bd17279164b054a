/**
 * What follows from `run.rewound`: everything that waits is rejected, the world gets back what it held, the stage is entered anew, and the run rests
 * there. Spend and visit counts stay (PROTOCOL §4.3).
 */
import { withdrawRequest } from './approve.ts';
import { inlineOrBlob, judgement, nextId } from './emit.ts';
import { declareCall, loseInterrupted, rejectRewound } from './intent.ts';
import { type Pen, write } from './pen.ts';
import { compensation, markOf, undoneBy } from './rewind.ts';
import { enterStage } from './stage.ts';
import type { EventOf } from './state.ts';
import { applyDelta, worldRoot } from './world.ts';

/** Writes the judgements of a rewind that was found to be possible. */
export function reactToRewound(pen: Pen, event: EventOf<'run.rewound'>): void {
  const { stage: id, visit } = event.body;
  const mark = markOf(pen.state, event.body);
  if (mark === null) throw new Error('kernel: a rewind without a target was not refused');
  const because = { code: 'run.rewound', message: `the run was rewound to stage ${id}, visit ${visit}` };
  loseInterrupted(pen);
  withdrawRequest(pen, because.message);
  const stage = pen.state.stage;
  for (const call of stage?.calls ?? []) if (stage !== null) declareCall(pen, stage, call);
  rejectRewound(pen, because);
  const steps = compensation(pen.state, mark);
  const applied = applyDelta(pen.state.world, steps, pen.state.nextSeq);
  // Every step names the version that the resource has in this very world.
  if (!('world' in applied)) throw new Error('kernel: a compensation does not fit the world it was made for');
  const held = inlineOrBlob(steps);
  write(
    pen,
    judgement(
      'commit.compensated',
      {
        commit: nextId(pen.state, 'commit'),
        compensates: undoneBy(pen.state, mark),
        delta: 'inline' in held.value ? { inline: steps } : held.value,
        worldRoot: worldRoot(applied.world),
      },
      held.blobs,
    ),
  );
  enterStage(pen, id);
  write(pen, judgement('run.parked', { because, request: null }));
}
