import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace-base';
import { convertEvalResult, redactPattern, SECRET_PATTERN } from '../src/convert.ts';
import { createEval2Otel } from '../src/emitter.ts';
import { convertOllamaToEval2Otel, convertProviderPair, detectProvider } from '../src/providers.ts';
import type { EvalResult } from '../src/types.ts';
import { InvalidEvalResult, parseEvalResult } from '../src/validate.ts';

const request = { model: 'tiny', messages: [{ role: 'user', content: 'What is 2 + 2?' }], options: { temperature: 0, seed: 7, num_predict: 9 } };
const response = {
  model: 'tiny:latest', message: { role: 'assistant', content: '4' }, done: true, done_reason: 'stop', total_duration: 250_000_000,
  load_duration: 50_000_000, prompt_eval_count: 12, prompt_eval_duration: 100_000_000, eval_count: 5, eval_duration: 100_000_000,
};
const evaluation = (): EvalResult => ({ ...convertOllamaToEval2Otel(request, response, 1_000), id: 'run/case' });

test('an Ollama answer becomes a chat evaluation with its tokens and durations', () => {
  const result = convertOllamaToEval2Otel(request, response, 1_000);
  assert.equal(result.operation, 'chat');
  assert.deepEqual(result.usage, { inputTokens: 12, outputTokens: 5 });
  assert.deepEqual(result.request, { model: 'tiny', temperature: 0, maxTokens: 9, seed: 7 });
  assert.equal(result.performance.duration, 0.25);
  assert.equal(result.performance.timeToFirstToken, 0.15);
  assert.equal(result.performance.timePerOutputToken, 0.02);
  assert.equal(convertOllamaToEval2Otel(request, response, 1_000, 1_400).performance.duration, 0.4);
});

test('Ollama generate is a text completion', () => {
  const result = convertOllamaToEval2Otel({ model: 'tiny', prompt: 'hi' }, { response: 'ho', done: true }, 0);
  assert.equal(result.operation, 'text_completion');
  assert.equal(convertEvalResult(result).name, 'gen_ai.chat');
});

test('each provider is recognised by the shape of its answer', () => {
  const shapes: [unknown, string | undefined][] = [
    [{ object: 'chat.completion', choices: [] }, 'openai-chat'],
    [{ choices: [] }, 'openai-compatible'],
    [{ type: 'message', content: [] }, 'anthropic'],
    [{ text: 'x', meta: { billed_units: { input_tokens: 1 } } }, 'cohere'],
    [{ modelId: 'm', output: {} }, 'bedrock'],
    [{ candidates: [] }, 'vertex'],
    [response, 'ollama'],
    [{ anything: 'else' }, undefined],
    [null, undefined],
  ];
  for (const [shape, mode] of shapes) assert.equal(detectProvider({}, shape), mode);
});

test("each provider's tokens and text are found where it keeps them", () => {
  const pairs: [string, unknown, unknown][] = [
    ['openai', { model: 'm' }, { object: 'chat.completion', id: 'r', choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }], usage: { prompt_tokens: 3, completion_tokens: 2 } }],
    ['anthropic', { model: 'm', max_tokens: 9 }, { type: 'message', id: 'r', content: [{ type: 'text', text: 'hi' }], stop_reason: 'end_turn', usage: { input_tokens: 3, output_tokens: 2 } }],
    ['cohere', { model: 'm', message: 'x' }, { text: 'hi', finish_reason: 'COMPLETE', meta: { tokens: { input_tokens: 3, output_tokens: 2 } } }],
    ['bedrock', { modelId: 'm' }, { modelId: 'm', output: { message: { content: [{ text: 'hi' }] } }, stopReason: 'end_turn', usage: { inputTokens: 3, outputTokens: 2 } }],
    ['vertex', { model: 'm' }, { candidates: [{ content: { parts: [{ text: 'hi' }] }, finishReason: 'STOP' }], usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 } }],
  ];
  for (const [system, ask, answer] of pairs) {
    const result = convertProviderPair(ask, answer, 0, 500);
    assert.equal(result?.system, system);
    assert.deepEqual(result.usage, { inputTokens: 3, outputTokens: 2 });
    assert.equal(result.response.choices?.[0].message.content, 'hi');
    assert.equal(result.performance.duration, 0.5);
  }
});

test('without content capture no text leaves: not from prompt, answer, tool or explanation', () => {
  const span = convertEvalResult({
    ...evaluation(),
    evaluation: { name: 'exact', score: 1, label: 'pass', explanation: 'the secret 4' },
    tool: { name: 't', result: { secret: 'the secret 4' } },
  });
  assert.deepEqual(span.events, []);
  assert.ok(!JSON.stringify(span).includes('2 + 2'));
  assert.ok(!JSON.stringify(span).includes('the secret'));
  assert.equal(span.attributes['gen_ai.evaluation.score.value'], 1);
  assert.equal(span.attributes['gen_ai.evaluation.score.label'], 'pass');
});

test('content is captured for the share of evaluations asked for, always the same ones', () => {
  const captured = (rate: number) => Array.from({ length: 200 }, (_, i) =>
    convertEvalResult({ ...evaluation(), id: `case-${i}` }, { captureContent: true, sampleContentRate: rate }).events.length > 0);
  assert.ok(captured(0).every((yes) => !yes));
  assert.ok(captured(1).every((yes) => yes));
  const half = captured(0.5).filter(Boolean).length;
  assert.ok(half > 60 && half < 140, `${half} of 200`);
  assert.deepEqual(captured(0.5), captured(0.5));
});

test('the default redaction knows common credentials', () => {
  const redact = redactPattern(SECRET_PATTERN);
  const secrets = ['sk-abcdefghijklmnopqrstuv', `ghp_${'a'.repeat(36)}`, 'AKIAABCDEFGHIJKLMNOP', '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----'];
  for (const secret of secrets) assert.equal(redact(`before ${secret} after`), 'before [REDACTED] after');
  assert.equal(redact('what is the risk-adjusted return?'), 'what is the risk-adjusted return?');
});

test('an evaluation with a wrong field is refused by the name of the field', () => {
  const wrong: [object, RegExp][] = [
    [{ id: '' }, /^id/], [{ operation: 'guess' }, /^operation/], [{ timestamp: 'now' }, /^timestamp/], [{ performance: {} }, /^performance\.duration/],
    [{ usage: { inputTokens: -1 } }, /^usage\.inputTokens/], [{ request: {} }, /^request\.model/],
    [{ conversation: { id: 'c', messages: [{ role: 'robot' }] } }, /^conversation\.messages\[0\]\.role/],
    [{ response: { choices: [{ index: 0, finishReason: 'stop' }] } }, /^response\.choices\[0\]\.message/],
  ];
  for (const [change, message] of wrong)
    assert.throws(() => parseEvalResult({ ...evaluation(), ...change }), (error: Error) => error instanceof InvalidEvalResult && message.test(error.message));
  for (const other of [null, 7, 'text', [], {}]) assert.throws(() => parseEvalResult(other), InvalidEvalResult);
});

test('the spans of a run share its trace, have their own times, and errors are marked', async () => {
  const exporter = new InMemorySpanExporter();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const emitter = createEval2Otel({ exporter, traceparent, resourceAttributes: { 'service.name': 'suite' } });
  const run = emitter.startRun('eval suite s');
  emitter.processEvaluation(evaluation(), { run, attributes: { extra: 'x' } });
  emitter.processEvaluation({ ...evaluation(), id: 'run/broken', error: { type: 'timeout', message: 'no answer' } }, { run });
  run.end();
  const exported: ReturnType<InMemorySpanExporter['getFinishedSpans']> = [];
  const { export: send } = exporter;
  exporter.export = (spans, done) => { exported.push(...spans); send.call(exporter, spans, done); };
  assert.deepEqual(await emitter.shutdown(), { sent: 3, failed: 0 });
  const [good, broken, whole] = exported;
  assert.equal(good.spanContext().traceId, '0af7651916cd43dd8448eb211c80319c');
  assert.equal(good.parentSpanContext?.spanId, whole.spanContext().spanId);
  assert.deepEqual([good.startTime, good.endTime], [[1, 0], [1, 250_000_000]]);
  assert.equal(good.attributes.extra, 'x');
  assert.equal(good.resource.attributes['service.name'], 'suite');
  assert.equal(broken.attributes['error.type'], 'timeout');
  assert.equal(broken.status.code, 2);
});
