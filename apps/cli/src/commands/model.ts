/**
 * `openexec model list|test|routes`: which models are configured, and whether one answers with a tool call. The test is one bounded question outside of any
 * run: it holds nothing of the repository, grants nothing, and is not recorded in the ledger. Must never show a key. CLI.md.
 */
import { digestJson, instantToMs, ok, parseDecimal } from '@openexec/canon';
import type { ModelAnswer, ModelFailure, ModelRequest } from '@openexec/catalogue';
import type { Config } from '@openexec/config';
import { OPENAI_BASE_URL } from '@openexec/models';
import type { Prices } from '@openexec/protocol';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { type RoutingOutcome, routingOutcomes } from '../routing/outcomes.ts';
import { chooseModel } from '../run/model.ts';
import { configFor } from '../run/plan.ts';

interface JsonOption {
  readonly json?: boolean;
}
type Price = Prices['models'][string];

const KEY_VARIABLE = 'OPENAI_API_KEY';
/** Enough for a model that thinks before it calls, and little enough to cost next to nothing. */
const MAX_OUTPUT_TOKENS = 1024;
const TIMEOUT_MS = 60_000;
const WORD = 'openexec';
const MILLION = 1_000_000;

/** Adds the command. */
export const register: Register = (program, context) => {
  const model = program
    .command('model')
    .description('list the configured models, or try one')
    .addHelpText('after', '\nExamples:\n  openexec model list\n  openexec model test openai:gpt-5-mini');
  model
    .command('list')
    .description('configured providers and models: address, whether a key is there, prices')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  openexec model list')
    .action(context.act((options: JsonOption) => list(context, options)));
  model
    .command('test')
    .description('ask one small question that needs a tool call; costs a few tokens, is not recorded in the ledger')
    .argument('<model>', 'PROVIDER:NAME')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  openexec model test openai:gpt-5-mini')
    .action(context.act((wanted: string, options: JsonOption) => test(context, wanted, options)));
  model
    .command('routes')
    .description('what became of each question to a model: which, on whose evidence, how long, how many tokens; no word of any content')
    .option('--after <cursor>', 'only what was settled after this position of the ledger')
    .option('--jsonl', 'one JSON object per question')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec model routes --jsonl --after 1042')
    .action(context.act((options: RoutesOptions) => routes(context, options)));
};

interface RoutesOptions {
  readonly after?: string;
  readonly jsonl?: boolean;
  readonly ledger?: string;
}

/** What became of the questions to models, from the ledger and from nothing else. Pull only: nothing is sent anywhere. */
async function routes(context: CommandContext, options: RoutesOptions): Promise<CommandResult> {
  const after = options.after === undefined ? ok(-1n) : parseDecimal(options.after);
  if (!after.ok) return refuse('usage.invalid', `--after takes the cursor of a line, a whole number, not ${JSON.stringify(options.after)}`);
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    for await (const outcome of routingOutcomes(store, after.value)) {
      if (options.jsonl === true) context.output.jsonLine('routing-outcome', outcome);
      else context.output.result(routeLine(outcome));
    }
    return ok(EXIT.ok);
  });
}

function routeLine({ cursor, run, model, status, failure, latencyMs, tokens, evidence }: RoutingOutcome): string {
  const cost = tokens === null ? '' : `, ${tokens.input} + ${tokens.output} tokens`;
  const took = latencyMs === null ? '' : `, ${latencyMs} ms`;
  const by = evidence === null ? '' : `; chosen by ${safeLine(evidence.router)} among ${evidence.candidates.length}`;
  return `${String(cursor).padStart(8)}  ${run}  ${safeLine(model, 140)}  ${status}${failure === null ? '' : ` (${safeLine(failure)})`}${took}${cost}${by}`;
}

interface ModelRow {
  readonly provider: string;
  readonly model: string | null;
  readonly origin: string | null;
  readonly keyVariable: string | null;
  readonly keyPresent: boolean;
  /** Whether a run asks it when it names none. */
  readonly configured: boolean;
  readonly price: Price | null;
}

async function list(context: CommandContext, options: JsonOption): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const config = configFor(context, project.value, {});
  if (!config.ok) return config;
  const models = rowsOf(context, config.value);
  const { output } = context;
  if (options.json === true) {
    output.json('model-list', { v: 1, models });
    return ok(EXIT.ok);
  }
  for (const row of models) {
    const name = `${row.provider}${row.model === null ? '' : `:${safeLine(row.model)}`}`;
    const key = row.keyVariable === null ? 'needs no key' : `${row.keyVariable} is ${row.keyPresent ? 'set' : 'not set'}`;
    output.result(
      `${row.configured ? output.style.green('*') : ' '} ${name}  ${row.origin === null ? 'this machine' : safeLine(row.origin)}  ${key}  ${priceText(row.price)}`,
    );
  }
  output.progress('* is asked by a run that names no model; openexec model test PROVIDER:NAME tries one');
  return ok(EXIT.ok);
}

function priceText(price: Price | null): string {
  if (price === null) return 'no price configured';
  return `${price.inputUsdMicrosPerMillion / MILLION} in, ${price.outputUsdMicrosPerMillion / MILLION} out, USD per million tokens`;
}

/** The configured model, every model with a price, and the providers there are. */
function rowsOf(context: CommandContext, config: Config): ModelRow[] {
  const configured = config.model === null || config.model === 'none' ? null : config.model;
  const named = [...new Set([...(configured === null ? [] : [configured]), ...Object.keys(config.prices.models)])].sort();
  const names = named.some((name) => name.startsWith('openai:')) ? named : [...named, 'openai'];
  return names.map((name) => {
    const [provider = '', ...rest] = name.split(':');
    const openai = provider === 'openai';
    return {
      provider,
      model: rest.length === 0 ? null : rest.join(':'),
      origin: openai ? originOf(config) : null,
      keyVariable: openai ? KEY_VARIABLE : null,
      keyPresent: openai && (context.env[KEY_VARIABLE] ?? '') !== '',
      configured: name === configured,
      price: config.prices.models[name] ?? null,
    };
  });
}

/** Scheme, host and port only: an address may hold more than is to be shown. */
function originOf(config: Config): string {
  try {
    return new URL(config.openaiBaseUrl ?? OPENAI_BASE_URL).origin;
  } catch {
    return 'an address that cannot be read';
  }
}

async function test(context: CommandContext, wanted: string, options: JsonOption): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const config = configFor(context, project.value, { model: wanted });
  if (!config.ok) return config;
  const chosen = chooseModel({ env: context.env, config: config.value, base: context.cwd, root: project.value.root });
  if (!chosen.ok) return chosen;
  const { choice, adapter, script } = chosen.value;
  const bounds = {
    maxOutputTokens: Math.min(MAX_OUTPUT_TOKENS, config.value.maxOutputTokens, config.value.budget.tokens),
    timeoutMs: TIMEOUT_MS,
  };
  const origin = script === null ? originOf(config.value) : null;
  context.output.progress(
    `asking ${safeLine(`${choice.provider}:${choice.model}`)} once${origin === null ? '' : ` at ${safeLine(origin)}`}: at most ${bounds.maxOutputTokens} tokens and ${TIMEOUT_MS / 1000} s; this is not recorded in the ledger`,
  );
  const from = instantToMs(context.clock.now());
  const answer = await adapter.ask(questionFor(choice.model, bounds), context.stopOnInterrupt());
  const latencyMs = Math.max(0, instantToMs(context.clock.now()) - from);
  if (!answer.ok) return failed(answer.error, latencyMs);
  const price = config.value.prices.models[`${choice.provider}:${choice.model}`] ?? null;
  const report = { ...reportOf(answer.value, price), provider: choice.provider, model: choice.model, origin, latencyMs, bounds };
  tell(context, report, options);
  return ok(report.sound ? EXIT.ok : EXIT.provider);
}

function questionFor(model: string, bounds: { readonly maxOutputTokens: number; readonly timeoutMs: number }): ModelRequest {
  const text = `Call the tool "echo" once with the word "${WORD}". Say nothing else.`;
  return {
    ask: digestJson({ test: model }),
    model,
    messages: [{ role: 'user', text }],
    tools: [
      {
        name: 'echo',
        description: 'Says a word back.',
        parameters: { type: 'object', properties: { word: { type: 'string' } }, required: ['word'], additionalProperties: false },
      },
    ],
    ...bounds,
    stage: 'test',
    visit: 1,
    turn: 1,
  };
}

function failed(error: ModelFailure, latencyMs: number): CommandResult {
  if (error.code === 'model.stopped') return refuse('interrupted', 'the question was stopped');
  const { code, message, status, retryable } = error;
  return refuse('model.testFailed', `${code}: ${safeLine(message, 1000)}`, { code, status, retryable, latencyMs });
}

interface TestReport {
  readonly answered: true;
  readonly toolCall: boolean;
  readonly usage: ModelAnswer['usage'];
  readonly costUsdMicros: number | null;
  readonly sound: boolean;
  readonly problems: readonly string[];
}

/** What a run needs of a model: a call with arguments of the shape; usage, or every question is settled at its full reservation. */
function reportOf({ answer, usage }: ModelAnswer, price: Price | null): TestReport {
  const call = answer.calls.find(({ name }) => name === 'echo');
  const toolCall = call !== undefined && wordOf(call.arguments) !== null;
  const problems = [
    ...(toolCall
      ? []
      : [
          answer.finish === 'length'
            ? 'it used up its tokens before it called the tool'
            : call === undefined
              ? 'it called no tool, so it could do nothing in a run'
              : 'the arguments of its tool call are not of the declared shape',
        ]),
    ...(usage === null ? ['it reports no usage, so every question is settled at its full reservation'] : []),
  ];
  const costUsdMicros =
    price === null || usage === null
      ? null
      : Math.ceil((usage.inputTokens * price.inputUsdMicrosPerMillion + usage.outputTokens * price.outputUsdMicrosPerMillion) / MILLION);
  return { answered: true, toolCall, usage, costUsdMicros, sound: toolCall, problems };
}

function wordOf(text: string): string | null {
  try {
    const { word } = JSON.parse(text) as { readonly word?: unknown };
    return typeof word === 'string' ? word : null;
  } catch {
    return null;
  }
}

type Told = TestReport & {
  readonly provider: string;
  readonly model: string;
  readonly origin: string | null;
  readonly latencyMs: number;
  readonly bounds: { readonly maxOutputTokens: number; readonly timeoutMs: number };
};

function tell({ output }: CommandContext, report: Told, options: JsonOption): void {
  if (options.json === true) {
    output.json('model-test', { v: 1, ...report, recorded: false });
    return;
  }
  const { green, red, yellow } = output.style;
  const { usage, costUsdMicros } = report;
  output.result(`${green('✓')} answered   in ${report.latencyMs} ms: the address and the key are right`);
  output.result(report.toolCall ? `${green('✓')} tool call  as declared` : `${red('✗')} tool call  none that can be used`);
  output.result(
    usage === null
      ? `${yellow('!')} usage      not reported`
      : `${green('✓')} usage      ${usage.inputTokens} + ${usage.outputTokens} tokens`,
  );
  output.result(
    `  cost       ${costUsdMicros === null ? 'not known: no price configured' : `${(costUsdMicros / MILLION).toFixed(6)} USD`}`,
  );
  for (const problem of report.problems) output.result(`  ${problem}`);
}
