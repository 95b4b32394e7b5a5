/** A model provider's own request and response as an evaluation. Untrusted shapes: read with care. */
import { createHash } from 'node:crypto';
import type { Choice, EvalResult, Message, ToolCall } from './types.ts';

// biome-ignore lint/suspicious/noExplicitAny: the payloads are other people's, of many versions
type Payload = any;

export const PROVIDER_MODES = ['openai-chat', 'openai-compatible', 'anthropic', 'cohere', 'bedrock', 'vertex', 'ollama'] as const;
export type ProviderMode = (typeof PROVIDER_MODES)[number];

const NS_PER_S = 1e9;
const hash = (value: unknown): string => createHash('sha256').update(JSON.stringify(value) ?? '').digest('hex');
const number = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);

export function detectProvider(request: Payload, response: Payload): ProviderMode | undefined {
  if (response?.object === 'chat.completion' || response?.system_fingerprint) return 'openai-chat';
  if (Array.isArray(response?.candidates)) return 'vertex';
  if (response?.modelId || request?.modelId) return 'bedrock';
  if (response?.type === 'message' && Array.isArray(response?.content)) return 'anthropic';
  if (response?.meta?.billed_units || response?.meta?.tokens) return 'cohere';
  const isOllama = response?.message?.role || typeof response?.response === 'string';
  if (isOllama && (response?.done !== undefined || response?.eval_count !== undefined)) return 'ollama';
  if (Array.isArray(response?.choices)) return 'openai-compatible';
  return undefined;
}

function parseArguments(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  if (typeof value !== 'string' || value === '') return {};
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : { value: parsed };
  } catch {
    return { raw: value };
  }
}

function toolCalls(calls: Payload): ToolCall[] | undefined {
  if (!Array.isArray(calls) || calls.length === 0) return undefined;
  return calls.map((call, index) => ({
    id: String(call?.id ?? `call-${index}`),
    type: String(call?.type ?? 'function'),
    function: { name: String(call?.function?.name ?? call?.name ?? 'unknown'), arguments: parseArguments(call?.function?.arguments ?? call?.input) },
  }));
}

const ROLES = new Set(['system', 'user', 'assistant', 'tool']);

function messages(list: Payload): Message[] {
  if (!Array.isArray(list)) return [];
  return list
    .filter((message) => ROLES.has(message?.role))
    .map((message) => ({ role: message.role, content: message.content, ...(message.tool_call_id ? { toolCallId: message.tool_call_id } : {}) }));
}

interface Parts {
  system: string;
  model: string;
  request: EvalResult['request'];
  usage: EvalResult['usage'];
  choices: Choice[];
  messages: Message[];
  id?: string;
  responseModel?: string;
  operation?: EvalResult['operation'];
}

/** The shape all providers share, with hashes that identify the payload without repeating it. */
function assemble(parts: Parts, raw: { request: Payload; response: Payload }, startMs: number, endMs: number): EvalResult {
  const payload = hash(raw);
  return {
    id: parts.id ?? `${parts.system}-${startMs}-${payload.slice(0, 12)}`,
    timestamp: startMs,
    model: parts.model,
    system: parts.system,
    operation: parts.operation ?? 'chat',
    request: parts.request,
    response: {
      ...(parts.id ? { id: parts.id } : {}),
      model: parts.responseModel ?? parts.model,
      finishReasons: parts.choices.map((choice) => choice.finishReason),
      choices: parts.choices,
    },
    usage: parts.usage,
    performance: { duration: Math.max(0, endMs - startMs) / 1000 },
    conversation: { id: `conversation-${payload.slice(0, 16)}`, messages: parts.messages },
    provenance: { sourceFramework: 'provider-native', adapter: parts.system },
    evidence: {
      rawPayloadSha256: payload,
      promptSha256: hash(parts.messages),
      responseSha256: hash(parts.choices.map((choice) => choice.message)),
    },
  };
}

/**
 * Ollama's `/api/chat` or `/api/generate`. Its own durations (nanoseconds) win over the caller's
 * clock, unless `endTime` is given, which includes the way there and back.
 */
export function convertOllamaToEval2Otel(request: Payload, response: Payload, startTime: number, endTime?: number): EvalResult {
  const isGenerate = typeof response?.response === 'string' && !response?.message;
  const options = request?.options ?? {};
  const durationMs = (number(response?.total_duration) ?? 0) / 1e6;
  const model = String(request?.model ?? response?.model ?? 'unknown');
  const message = isGenerate ? { role: 'assistant', content: response.response } : response?.message;
  const result = assemble(
    {
      system: 'ollama',
      model,
      operation: isGenerate ? 'text_completion' : 'chat',
      responseModel: response?.model,
      request: {
        model,
        ...(number(options.temperature) === undefined ? {} : { temperature: options.temperature }),
        ...(number(options.num_predict) === undefined || options.num_predict <= 0 ? {} : { maxTokens: options.num_predict }),
        ...(number(options.top_p) === undefined ? {} : { topP: options.top_p }),
        ...(number(options.top_k) === undefined ? {} : { topK: options.top_k }),
        ...(number(options.seed) === undefined ? {} : { seed: options.seed }),
        ...(Array.isArray(options.stop) ? { stopSequences: options.stop.map(String) } : {}),
      },
      usage: { inputTokens: number(response?.prompt_eval_count), outputTokens: number(response?.eval_count) },
      choices: [
        {
          index: 0,
          finishReason: String(response?.done_reason ?? (message?.tool_calls?.length ? 'tool_calls' : 'stop')),
          message: { role: String(message?.role ?? 'assistant'), content: message?.content, toolCalls: toolCalls(message?.tool_calls) },
        },
      ],
      messages: isGenerate ? [{ role: 'user', content: String(request?.prompt ?? '') }] : messages(request?.messages),
    },
    { request, response },
    startTime,
    endTime ?? startTime + durationMs,
  );
  const waited = (number(response?.load_duration) ?? 0) + (number(response?.prompt_eval_duration) ?? 0);
  if (waited > 0) result.performance.timeToFirstToken = waited / NS_PER_S;
  if (response?.eval_count > 0 && number(response?.eval_duration))
    result.performance.timePerOutputToken = response.eval_duration / NS_PER_S / response.eval_count;
  return result;
}

export function convertOpenAIChatToEval2Otel(request: Payload, response: Payload, startTime: number, endTime: number, system = 'openai'): EvalResult {
  const model = String(request?.model ?? response?.model ?? 'unknown');
  return assemble(
    {
      system,
      model,
      id: response?.id,
      responseModel: response?.model,
      request: {
        model,
        temperature: number(request?.temperature),
        maxTokens: number(request?.max_completion_tokens ?? request?.max_tokens),
        topP: number(request?.top_p),
        seed: number(request?.seed),
      },
      usage: { inputTokens: number(response?.usage?.prompt_tokens), outputTokens: number(response?.usage?.completion_tokens) },
      choices: (Array.isArray(response?.choices) ? response.choices : []).map((choice: Payload, index: number) => ({
        index: number(choice?.index) ?? index,
        finishReason: String(choice?.finish_reason ?? 'stop'),
        message: { role: String(choice?.message?.role ?? 'assistant'), content: choice?.message?.content ?? undefined, toolCalls: toolCalls(choice?.message?.tool_calls) },
      })),
      messages: messages(request?.messages),
    },
    { request, response },
    startTime,
    endTime,
  );
}

/** One text answer, for the providers whose answers have no list of choices. */
function single(finishReason: unknown, content: string, calls?: ToolCall[]): Choice[] {
  return [{ index: 0, finishReason: String(finishReason ?? 'stop'), message: { role: 'assistant', content, toolCalls: calls } }];
}

function convertAnthropic(request: Payload, response: Payload, startTime: number, endTime: number): EvalResult {
  const blocks: Payload[] = Array.isArray(response?.content) ? response.content : [];
  const text = blocks.filter((block) => block?.type === 'text').map((block) => block.text).join('');
  const model = String(request?.model ?? response?.model ?? 'unknown');
  return assemble(
    {
      system: 'anthropic',
      model,
      id: response?.id,
      responseModel: response?.model,
      request: { model, maxTokens: number(request?.max_tokens), temperature: number(request?.temperature) },
      usage: { inputTokens: number(response?.usage?.input_tokens), outputTokens: number(response?.usage?.output_tokens) },
      choices: single(response?.stop_reason, text, toolCalls(blocks.filter((block) => block?.type === 'tool_use'))),
      messages: messages(request?.messages),
    },
    { request, response },
    startTime,
    endTime,
  );
}

function convertCohere(request: Payload, response: Payload, startTime: number, endTime: number): EvalResult {
  const model = String(request?.model ?? 'unknown');
  const units = response?.meta?.tokens ?? response?.meta?.billed_units ?? {};
  return assemble(
    {
      system: 'cohere',
      model,
      id: response?.generation_id ?? response?.id,
      request: { model, temperature: number(request?.temperature) },
      usage: { inputTokens: number(units.input_tokens), outputTokens: number(units.output_tokens) },
      choices: single(response?.finish_reason, String(response?.text ?? '')),
      messages: typeof request?.message === 'string' ? [{ role: 'user', content: request.message }] : messages(request?.messages),
    },
    { request, response },
    startTime,
    endTime,
  );
}

function convertBedrock(request: Payload, response: Payload, startTime: number, endTime: number): EvalResult {
  const model = String(request?.modelId ?? response?.modelId ?? 'unknown');
  const blocks: Payload[] = response?.output?.message?.content ?? [];
  return assemble(
    {
      system: 'bedrock',
      model,
      request: { model, maxTokens: number(request?.inferenceConfig?.maxTokens), temperature: number(request?.inferenceConfig?.temperature) },
      usage: { inputTokens: number(response?.usage?.inputTokens), outputTokens: number(response?.usage?.outputTokens) },
      choices: single(response?.stopReason, blocks.map((block) => block?.text ?? '').join('')),
      messages: messages(request?.messages),
    },
    { request, response },
    startTime,
    endTime,
  );
}

function convertVertex(request: Payload, response: Payload, startTime: number, endTime: number): EvalResult {
  const model = String(request?.model ?? response?.modelVersion ?? 'unknown');
  const candidate = response?.candidates?.[0];
  const text = (candidate?.content?.parts ?? []).map((part: Payload) => part?.text ?? '').join('');
  return assemble(
    {
      system: 'vertex',
      model,
      id: response?.responseId,
      request: { model, maxTokens: number(request?.generationConfig?.maxOutputTokens), temperature: number(request?.generationConfig?.temperature) },
      usage: { inputTokens: number(response?.usageMetadata?.promptTokenCount), outputTokens: number(response?.usageMetadata?.candidatesTokenCount) },
      choices: single(candidate?.finishReason, text),
      messages: [],
    },
    { request, response },
    startTime,
    endTime,
  );
}

/** undefined when no provider is named and none is recognised. */
export function convertProviderPair(request: Payload, response: Payload, startTime: number, endTime: number | undefined, mode?: ProviderMode): EvalResult | undefined {
  const end = endTime ?? startTime;
  switch (mode ?? detectProvider(request, response)) {
    case 'openai-chat':
    case 'openai-compatible':
      return convertOpenAIChatToEval2Otel(request, response, startTime, end);
    case 'anthropic':
      return convertAnthropic(request, response, startTime, end);
    case 'cohere':
      return convertCohere(request, response, startTime, end);
    case 'bedrock':
      return convertBedrock(request, response, startTime, end);
    case 'vertex':
      return convertVertex(request, response, startTime, end);
    case 'ollama':
      return convertOllamaToEval2Otel(request, response, startTime, endTime);
    default:
      return undefined;
  }
}
