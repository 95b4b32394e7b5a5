import { type EvalResult, OPERATIONS } from './types.ts';

export class InvalidEvalResult extends Error {}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

function fail(path: string, wanted: string): never {
  throw new InvalidEvalResult(`${path} must be ${wanted}`);
}

function object(value: unknown, path: string): Json {
  return isObject(value) ? value : fail(path, 'an object');
}

function text(value: unknown, path: string): string {
  return typeof value === 'string' && value !== '' ? value : fail(path, 'a text');
}

function count(value: unknown, path: string): void {
  if (value !== undefined && !(typeof value === 'number' && Number.isFinite(value) && value >= 0))
    fail(path, 'a number, zero or more');
}

function list(value: unknown, path: string, check: (item: unknown, path: string) => void): void {
  if (value === undefined) return;
  if (!Array.isArray(value)) fail(path, 'a list');
  for (const [index, item] of value.entries()) check(item, `${path}[${index}]`);
}

function checkMessage(value: unknown, path: string): void {
  const message = object(value, path);
  if (!['system', 'user', 'assistant', 'tool'].includes(String(message.role)))
    fail(`${path}.role`, 'system, user, assistant or tool');
  list(message.toolCalls, `${path}.toolCalls`, checkToolCall);
}

function checkToolCall(value: unknown, path: string): void {
  const call = object(value, path);
  text(object(call.function, `${path}.function`).name, `${path}.function.name`);
}

function checkChoice(value: unknown, path: string): void {
  const choice = object(value, path);
  const message = object(choice.message, `${path}.message`);
  count(choice.index, `${path}.index`);
  list(message.toolCalls, `${path}.message.toolCalls`, checkToolCall);
}

/** Checks what conversion relies on. Throws InvalidEvalResult that names the field. */
export function parseEvalResult(value: unknown): EvalResult {
  const result = object(value, 'the evaluation');
  text(result.id, 'id');
  text(result.model, 'model');
  if (typeof result.timestamp !== 'number' || !Number.isFinite(result.timestamp) || result.timestamp < 0)
    fail('timestamp', 'milliseconds since the epoch');
  if (!Object.hasOwn(OPERATIONS, String(result.operation))) fail('operation', `one of ${Object.keys(OPERATIONS).join(', ')}`);
  text(object(result.request, 'request').model, 'request.model');
  const response = object(result.response ?? {}, 'response');
  list(response.choices, 'response.choices', checkChoice);
  const usage = object(result.usage ?? {}, 'usage');
  count(usage.inputTokens, 'usage.inputTokens');
  count(usage.outputTokens, 'usage.outputTokens');
  const performance = object(result.performance, 'performance');
  if (performance.duration === undefined) fail('performance.duration', 'seconds');
  count(performance.duration, 'performance.duration');
  if (result.conversation !== undefined)
    list(object(result.conversation, 'conversation').messages, 'conversation.messages', checkMessage);
  if (result.rag !== undefined)
    list(object(result.rag, 'rag').chunks, 'rag.chunks', (chunk, path) => void object(chunk, path));
  return { ...result, response, usage } as unknown as EvalResult;
}
