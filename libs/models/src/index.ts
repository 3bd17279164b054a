/**
 * Model adapters behind the port `ModelAdapter`: OpenAI and compatible providers, and the scripted model. ARCHITECTURE §3 floor 5.
 */

export { hostOf } from './baseUrl.ts';
export type { OpenModelError, OpenModelErrorCode } from './errors.ts';
export { type OpenModelChoice, openModel, PROVIDERS } from './open.ts';
export { OPENAI_BASE_URL, type OpenAiOptions, openaiModel } from './openai.ts';
export { scriptedModel } from './scripted.ts';
export type { Exchange } from './wire.ts';
