/**
 * From the word for a model to its adapter and to what `run.opened` records of it. Keys are read from the environment here and go nowhere else
 * (CLI.md "Environment").
 */
import { isAbsolute, resolve } from 'node:path';
import { err, type Json, ok, type Result } from '@openexec/canon';
import type { ModelAdapter } from '@openexec/catalogue';
import { type Config, loadData } from '@openexec/config';
import { hostOf, OPENAI_BASE_URL, openModel, PROVIDERS } from '@openexec/models';
import type { ModelChoice } from '@openexec/protocol';
import { type Refusal, type RefusalCode, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { configRefusal } from './problems.ts';

/** A model that can be asked, and what is recorded of it. */
export interface ChosenModel {
  readonly choice: ModelChoice;
  readonly adapter: ModelAdapter;
  /** The data of a script, kept so that a resumed run gets the same answers; null for a provider. */
  readonly script: Json | null;
}
/** Where a model's settings come from. */
export interface ModelPlaces {
  readonly env: { readonly [name: string]: string | undefined };
  readonly config: Config;
  /** Where a script's path begins. */
  readonly base: string;
  readonly root: string;
}

/** A model that a program brings along. */
export interface OwnModel {
  readonly adapter: ModelAdapter;
  /** What the ledger calls the model. */
  readonly name: string;
  /** Where the adapter asks, `host:port` as writs name hosts; null where it stays on this machine. */
  readonly host: string | null;
  readonly maxOutputTokens: number | undefined;
}

const NAME_MAX = 128;
const PROVIDER = /^[a-z][a-z0-9_.-]{0,63}$/;

/** Chooses and opens the model of a new run. */
export function chooseModel(places: ModelPlaces): Result<ChosenModel, Refusal> {
  const { config } = places;
  if (config.model === null || config.model === 'none')
    return refuse('config.modelMissing', 'this blueprint asks a model, and none is configured');
  const colon = config.model.indexOf(':');
  const provider = config.model.slice(0, Math.max(0, colon));
  const name = config.model.slice(colon + 1);
  if (provider === '' || name === '') return refuse('model.unknownProvider', `"${safeLine(config.model, 80)}" is not PROVIDER:NAME`);
  if (provider === 'scripted') return chooseScript(name, places);
  const choice = { provider, model: name.slice(0, NAME_MAX), maxOutputTokens: config.maxOutputTokens };
  const adapter = openProvider(provider, places);
  if (!adapter.ok) return adapter;
  const host = hostOf(baseUrlOf(config));
  if (!host.ok) return err(modelRefusal(host.error));
  return ok({ choice: { ...choice, host: host.value }, adapter: adapter.value, script: null });
}

/** A program's own adapter as the model of a new run; never under the name of a provider that this version opens itself. */
export function ownModel(own: OwnModel, config: Config): Result<ChosenModel, Refusal> {
  const { provider } = own.adapter;
  if (!PROVIDER.test(provider)) return refuse('model.invalid', `"${safeLine(provider, 80)}" is no name of a provider: a lower-case word`);
  if ((PROVIDERS as readonly string[]).includes(provider))
    return refuse('model.invalid', `"${provider}" is a provider of openexec itself; give the adapter a name of its own`);
  if (own.name === '' || own.name.length > NAME_MAX)
    return refuse('model.invalid', `the name of the model has 1 to ${NAME_MAX} characters`);
  const maxOutputTokens = Math.min(own.maxOutputTokens ?? config.maxOutputTokens, config.maxOutputTokens);
  return ok({ choice: { provider, model: own.name, host: own.host, maxOutputTokens }, adapter: unrejecting(own.adapter), script: null });
}

/** A throw of a foreign adapter is an unknown outcome at its provider, not a defect of the run. */
function unrejecting(adapter: ModelAdapter): ModelAdapter {
  return {
    provider: adapter.provider,
    async ask(request, stop) {
      try {
        return await adapter.ask(request, stop);
      } catch (error) {
        const { message } = (error ?? {}) as { readonly message?: unknown };
        const said = typeof message === 'string' ? message : String(error);
        return err({
          code: 'model.unreachable',
          message: `the adapter threw: ${safeLine(said, 500)}`,
          retryable: false,
          retryAfterMs: null,
          status: null,
          raw: null,
        });
      }
    },
  };
}

/** Opens the model that an open run recorded; refuses when it would be asked at another host than its writ grants. */
export function reopenModel(choice: ModelChoice, script: Json | null, places: ModelPlaces): Result<ModelAdapter, Refusal> {
  if (choice.provider === 'scripted') {
    const opened = openModel({ provider: 'scripted', script });
    return opened.ok ? opened : err(modelRefusal(opened.error));
  }
  const host = hostOf(baseUrlOf(places.config));
  if (!host.ok) return err(modelRefusal(host.error));
  if (host.value !== choice.host) {
    return refuse('model.invalid', `the run was opened for the model at ${choice.host ?? 'no host'}, and ${host.value} is configured now`);
  }
  return openProvider(choice.provider, places);
}

function openProvider(provider: string, places: ModelPlaces): Result<ModelAdapter, Refusal> {
  const { config, env } = places;
  const opened = openModel({
    provider,
    baseUrl: baseUrlOf(config),
    apiKey: env['OPENAI_API_KEY'] ?? null,
    timeoutMs: config.modelTimeoutMs,
  });
  return opened.ok ? opened : err(modelRefusal(opened.error));
}

function chooseScript(file: string, places: ModelPlaces): Result<ChosenModel, Refusal> {
  const path = isAbsolute(file) ? file : resolve(places.base, file);
  const script = loadData(path);
  if (!script.ok) return configRefusal(script.error, places.root);
  const opened = openModel({ provider: 'scripted', script: script.value });
  if (!opened.ok) return err(modelRefusal(opened.error));
  const model = (file.split('/').at(-1) ?? file).slice(0, NAME_MAX);
  return ok({
    choice: { provider: 'scripted', model, host: null, maxOutputTokens: places.config.maxOutputTokens },
    adapter: opened.value,
    script: script.value,
  });
}

function baseUrlOf(config: Config): string {
  return config.openaiBaseUrl ?? OPENAI_BASE_URL;
}

function modelRefusal(error: { readonly code: string; readonly message: string }): Refusal {
  const codes: { readonly [code: string]: RefusalCode } = {
    'model.unknownProvider': 'model.unknownProvider',
    'model.keyMissing': 'model.keyMissing',
  };
  return { code: codes[error.code] ?? 'model.invalid', message: error.message };
}
