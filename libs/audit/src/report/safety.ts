/**
 * What a run was refused, reached beyond its workspace and tried on the network, gathered from its entries. Must never weigh: what counts as a danger is
 * the reader's to say (PROTOCOL §11).
 */
import type { Instant } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { Body, Kind, NetworkFigures, ReportedRun, RunSafety } from '@openexec/protocol';
import { Bounded } from './lists.ts';

type AnyBody = { [K in Kind]: { readonly kind: K; readonly body: Body<K> } }[Kind];
type Intent = Readonly<ReportedRun['intents'][number]>;
type Network = NonNullable<Body<'execution.observed'>['network']>;
type Refusal = RunSafety['refusals'][number];
const BEYOND: ReadonlySet<string> = new Set(['external', 'irreversible']);

/** Gathers, entry by entry, what no other list of a report has. */
export class SafetyTally {
  readonly refusals = new Bounded<Refusal>();
  /** Started effects beyond the workspace; their ends are filled in as they come. */
  readonly external = new Bounded<Intent>();
  readonly providers = new Map<string, number>();
  /** Commands by execution, with what was counted of each; null while nothing was. */
  readonly #commands = new Map<string, Network | null>();
  #stage: string | null = null;

  /** `intentOf` finds the intent behind an id of an intent, a proposal or an execution. */
  take({ kind, body }: AnyBody, { entry: { seq, at } }: Stored, intentOf: (id: string) => Intent | undefined): void {
    switch (kind) {
      case 'stage.entered':
        this.#stage = body.stage;
        return;
      case 'model.asked':
        this.providers.set(body.provider, (this.providers.get(body.provider) ?? 0) + 1);
        return;
      case 'policy.decided':
        return this.#asking(body, { seq, at });
      case 'proposal.rejected': {
        const intent = intentOf(body.intent);
        if (intent === undefined) return;
        const { stage, author, action, verdict } = intent;
        const by = body.rule === null ? body.at : `${body.rule.layer}/${body.rule.rule}`;
        return this.refusals.add({ seq, at, stage, author, action, verdict, by, because: body.because });
      }
      case 'execution.started': {
        if (body.command !== null) this.#commands.set(body.execution, null);
        const intent = intentOf(body.proposal);
        if (intent !== undefined && body.replaces === null && BEYOND.has(intent.effect ?? '')) this.external.add(intent);
        return;
      }
      case 'execution.observed':
      case 'effect.undeclared':
        if (body.network !== undefined) this.#commands.set(body.execution, body.network);
        return;
      default:
    }
  }

  /** A refusal to ask the model has no intent of its own. */
  #asking(body: Body<'policy.decided'>, { seq, at }: { readonly seq: number; readonly at: Instant }): void {
    if (body.intent !== null || body.verdict !== 'deny') return;
    const by = body.rule === null ? body.by : `${body.rule.layer}/${body.rule.rule}`;
    const { because } = body;
    this.refusals.add({ seq, at, stage: this.#stage, author: 'blueprint', action: 'model.ask', verdict: 'deny', by, because });
  }

  network(): NetworkFigures {
    const figures = { commands: this.#commands.size, uncounted: 0, attempts: 0, ipv4: 0, ipv6: 0 };
    for (const seen of this.#commands.values()) {
      if (seen === null || seen.attempts === null) figures.uncounted += 1;
      figures.attempts += seen?.attempts ?? 0;
      figures.ipv4 += seen?.ipv4 ?? 0;
      figures.ipv6 += seen?.ipv6 ?? 0;
    }
    return figures;
  }
}
