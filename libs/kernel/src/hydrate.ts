/**
 * Which blobs an event must carry for the kernel to read it. The shell and the verifier hydrate exactly these, so that both judge the same input
 * and nothing large is read in vain (SEAM).
 */
import type { BlobRef } from '@openexec/protocol';
import type { RunEvent } from './state.ts';

const held = (value: object): readonly BlobRef[] => ('blob' in value ? [(value as { readonly blob: BlobRef }).blob] : []);

/** Conditions ask for fields of JSON artifacts only; anything else flows unread. */
const parsedArtifacts = (artifacts: readonly { readonly blob: BlobRef }[]): readonly BlobRef[] =>
  artifacts.map((artifact) => artifact.blob).filter((blob) => blob.mediaType.endsWith('json'));

/** The blobs that `evolve` and `judge` read of this event, in the order of its members. */
export function neededBlobs(event: Pick<RunEvent, 'kind' | 'body'>): readonly BlobRef[] {
  // The pair is taken from one event, so kind tells which body it is.
  const { kind, body } = event as RunEvent;
  switch (kind) {
    case 'run.opened':
      return [
        body.task,
        body.blueprint,
        body.policySet,
        body.catalogue,
        body.toolsets,
        body.prices,
        body.profile,
        body.base.listing,
        ...(body.skills ?? []).map(({ template }) => template),
        ...(body.delegates ?? []).map(({ blueprint }) => blueprint),
      ];
    case 'skill.bound':
      return [body.template];
    case 'model.answered':
      return [body.answer];
    case 'selfTest.opened':
      return [body.policySet, body.catalogue, body.profile, body.kit];
    case 'intent.submitted':
    case 'intent.declared':
      return held(body.arguments);
    case 'execution.started':
      return [...held(body.input), ...(body.sandbox.masked === undefined ? [] : held(body.sandbox.masked))];
    case 'execution.observed':
      return [...held(body.changes), ...parsedArtifacts(body.artifacts)];
    case 'commit.recorded':
      return [...held(body.delta), ...parsedArtifacts(body.artifacts)];
    case 'commit.compensated':
      return held(body.delta);
    case 'stage.left':
      return parsedArtifacts(body.outputs);
    case 'delegation.closed':
      return body.patch === null ? [] : [body.patch];
    case 'policy.adopted':
      return [body.body.bundle];
    default:
      return [];
  }
}
