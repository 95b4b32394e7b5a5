export { buildAttributes, normalizeProviderName, sha256 } from './attributes.ts';
export { convertEvalResult, redactPattern, SECRET_PATTERN } from './convert.ts';
export { createEval2Otel, type EmitterConfig, Eval2Otel, type FlushReport, type Protocol, type Run } from './emitter.ts';
export {
  convertOllamaToEval2Otel,
  convertOpenAIChatToEval2Otel,
  convertProviderPair,
  detectProvider,
  PROVIDER_MODES,
  type ProviderMode,
} from './providers.ts';
export * from './types.ts';
export { InvalidEvalResult, parseEvalResult } from './validate.ts';
