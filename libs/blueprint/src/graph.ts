/**
 * A checked blueprint drawn, in one of three forms. Must show every route, defaults included. CLI `blueprint graph`.
 */
import type { CheckedBlueprint } from '@openexec/protocol';
import { blueprintMermaid } from './draw/mermaid.ts';
import { blueprintSvg } from './draw/svg.ts';
import { blueprintText } from './draw/text.ts';

/** What a drawing may be. */
export const GRAPH_FORMATS = ['text', 'mermaid', 'svg'] as const;
/** One of {@link GRAPH_FORMATS}. */
export type GraphFormat = (typeof GRAPH_FORMATS)[number];

/** The drawing; its lines end with a line feed. */
export function blueprintGraph(checked: CheckedBlueprint, format: GraphFormat): string {
  switch (format) {
    case 'text':
      return blueprintText(checked);
    case 'mermaid':
      return blueprintMermaid(checked);
    case 'svg':
      return blueprintSvg(checked);
  }
}
