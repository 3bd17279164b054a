/**
 * Which adapter a choice of provider means. Must never fall back to another provider, nor read the environment: keys are handed in.
 */
import { err, type Json, type Result } from '@openexec/canon';
import type { ModelAdapter } from '@openexec/catalogue';
import { nearest } from '@openexec/protocol';
import type { OpenModelError } from './errors.ts';
import { openaiModel } from './openai.ts';
import { scriptedModel } from './scripted.ts';

/** Every provider that `openModel` knows. */
export const PROVIDERS = ['openai', 'scripted'] as const;

/** Which provider is wanted, and what configuration and environment hold for it. */
export interface OpenModelChoice {
  readonly provider: string;
  /** Null or absent: the provider's own address. */
  readonly baseUrl?: string | null;
  /** Null or absent where the environment has none. */
  readonly apiKey?: string | null;
  /** The data of a script, for provider `scripted`. */
  readonly script?: Json | null;
  readonly fetch?: typeof fetch;
  /** Null or absent: what the question allows. */
  readonly timeoutMs?: number | null;
}

/** Opens the adapter of a choice, or says why not; `exit` is 2 for a wrong configuration and 30 for a missing key. */
export function openModel(choice: OpenModelChoice): Result<ModelAdapter, OpenModelError> {
  switch (choice.provider) {
    case 'scripted':
      if (choice.script === undefined || choice.script === null)
        return err({
          code: 'model.scriptMissing',
          message: 'provider scripted needs a script; name its file in the configuration',
          exit: 2,
        });
      return scriptedModel({ script: choice.script });
    case 'openai': {
      if (choice.apiKey === undefined || choice.apiKey === null || choice.apiKey === '')
        return err({
          code: 'model.keyMissing',
          message: 'provider openai needs an API key; set OPENAI_API_KEY in the environment',
          exit: 30,
        });
      const base = choice.baseUrl === undefined || choice.baseUrl === null ? {} : { baseUrl: choice.baseUrl };
      const timeout = choice.timeoutMs === undefined || choice.timeoutMs === null ? {} : { timeoutMs: choice.timeoutMs };
      return openaiModel({ apiKey: choice.apiKey, ...base, ...timeout, ...(choice.fetch === undefined ? {} : { fetch: choice.fetch }) });
    }
    default: {
      const close = nearest(choice.provider.slice(0, 64), PROVIDERS);
      return err({
        code: 'model.unknownProvider',
        message: `there is no model provider "${choice.provider.slice(0, 64)}"${close === null ? '' : `, did you mean ${close}`}; known are ${PROVIDERS.join(' and ')}`,
        exit: 2,
      });
    }
  }
}
