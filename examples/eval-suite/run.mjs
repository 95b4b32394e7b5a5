#!/usr/bin/env node
// Runs an eval suite: asks a model every case through the Ollama client, scores the answers, and sends
// each as a span. The exit code is the verdict: 0 when the share of passed cases reaches the suite's
// threshold, 1 when not, 2 when the suite could not be run at all.
//
//   node run.mjs [--suite suite.json] [--model NAME] [--only CASE] [--threshold 0.8] [--results FILE]
//
// OLLAMA_HOST names the model server; without it the demo model of ../model-server answers. Where the
// spans go, OTEL_EXPORTER_OTLP_ENDPOINT says; a collector that is away never changes the verdict.
import { randomUUID } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { convertOllamaToEval2Otel, createEval2Otel } from 'eval2otel';
import { Ollama } from 'ollama';
import { score } from './scorers.mjs';
import { readSuite, SuiteError } from './suite.mjs';

class CannotRun extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

function readOptions() {
  const options = {
    suite: { type: 'string', default: path.join(import.meta.dirname, 'suite.json') },
    model: { type: 'string' },
    only: { type: 'string' },
    threshold: { type: 'string' },
    results: { type: 'string' },
  };
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new CannotRun(error.message, 'options: --suite FILE --model NAME --only CASE --threshold N --results FILE');
  }
}

/** The server to ask, and the words for it. */
async function openServer() {
  const host = process.env.OLLAMA_HOST;
  if (host) return { host, words: host, close: async () => {} };
  const { startModelServer, DESCRIPTION, MODEL } = await import('../model-server/server.mjs');
  const server = await startModelServer();
  return { host: server.url, words: DESCRIPTION, model: MODEL, close: server.close };
}

function describe(error) {
  return error.cause?.code ? `${error.message}: ${error.cause.code}` : error.message;
}

/** The model that was asked for, when the server has it; else its first. */
async function chooseModel(ollama, server, wanted) {
  let models;
  try {
    models = (await ollama.list()).models.map((model) => model.name);
  } catch (error) {
    throw new CannotRun(`model server ${server.words} does not answer: ${describe(error)}`, 'check OLLAMA_HOST, or unset it to use the demo model');
  }
  const name = wanted ?? server.model ?? models[0];
  if (name === undefined) throw new CannotRun(`model server ${server.words} has no model`, 'ollama pull NAME, on the machine that serves it');
  if (models.includes(name) || models.includes(`${name}:latest`)) return name;
  throw new CannotRun(`model ${name} is not on ${server.words}; it has ${models.join(', ') || 'none'}`, `ollama pull ${name}, or choose another with --model`);
}

async function ask(ollama, model, suite, item) {
  const request = {
    model,
    messages: [...(suite.system ? [{ role: 'system', content: suite.system }] : []), { role: 'user', content: item.prompt }],
    options: { temperature: 0, seed: 7 },
    ...(item.format ? { format: item.format } : {}),
  };
  const started = Date.now();
  const clock = performance.now();
  try {
    const response = await ollama.chat({ ...request, stream: false });
    return { request, response, started, durationMs: performance.now() - clock };
  } catch (error) {
    if (error.status_code === 404) throw new CannotRun(error.message, 'choose another model with --model');
    return { request, error: describe(error), started, durationMs: performance.now() - clock };
  }
}

/** A failed request is a case that scored nothing; it has no answer to convert. */
function failedEvaluation(asked) {
  return {
    timestamp: asked.started,
    model: asked.request.model,
    system: 'ollama',
    operation: 'chat',
    request: { model: asked.request.model },
    response: {},
    usage: {},
    performance: { duration: asked.durationMs / 1000 },
    error: { type: 'request_failed', message: asked.error },
  };
}

function toEvaluation(asked, item, verdict, run) {
  const { request, response, started, durationMs } = asked;
  const evaluation = asked.error ? failedEvaluation(asked) : convertOllamaToEval2Otel(request, response, started, started + durationMs);
  return {
    ...evaluation,
    id: `${run.id}/${item.id}`,
    provenance: { sourceFramework: 'nimbus-eval-suite', runId: run.id, caseId: item.id, datasetId: run.suite.name, datasetVersion: run.suite.version },
    evaluation: {
      name: item.scorer.type,
      metricType: item.scorer.type === 'json' ? 'score' : 'boolean',
      score: verdict.score,
      label: verdict.passed ? 'pass' : 'fail',
    },
  };
}

function caseLine(number, item, asked, verdict, width) {
  const { prompt_eval_count: input = 0, eval_count: output = 0 } = asked.response ?? {};
  const head = `case ${String(number).padStart(2, '0')} ${item.id.padEnd(width)}  ${verdict.passed ? 'PASS' : 'FAIL'}`;
  const cost = `${input}→${output} tokens  ${Math.round(asked.durationMs)} ms`;
  return `${head}  score ${verdict.score.toFixed(2)}  ${cost}${verdict.reason ? `  (${verdict.reason})` : ''}`;
}

async function runCases(ollama, run, emitter, results) {
  const width = Math.max(...run.cases.map((item) => item.id.length));
  const totals = { passed: 0, input: 0, output: 0, ran: 0 };
  for (const [index, item] of run.cases.entries()) {
    if (run.stopped) break;
    const asked = await ask(ollama, run.model, run.suite, item);
    const verdict = asked.error
      ? { score: 0, passed: false, reason: asked.error }
      : score(asked.response.message.content, item.scorer);
    const evaluation = toEvaluation(asked, item, verdict, run);
    emitter.processEvaluation(evaluation, { run: run.span });
    if (results) appendFileSync(results, `${JSON.stringify(evaluation)}\n`);
    totals.ran += 1;
    totals.passed += Number(verdict.passed);
    totals.input += asked.response?.prompt_eval_count ?? 0;
    totals.output += asked.response?.eval_count ?? 0;
    console.log(caseLine(index + 1, item, asked, verdict, width));
  }
  return totals;
}

function readThreshold(values, suite) {
  const threshold = values.threshold === undefined ? suite.threshold : Number(values.threshold);
  if (!(threshold >= 0 && threshold <= 1)) throw new CannotRun(`threshold ${values.threshold} is not a number from 0 to 1`);
  return threshold;
}

/** Sends spans where the environment says; without a collector there is nobody to send them to. */
function openEmitter() {
  const collector = process.env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const discard = { export: (_, done) => done({ code: 0 }), shutdown: async () => {} };
  const emitter = createEval2Otel({ serviceName: process.env.OTEL_SERVICE_NAME ?? 'eval-suite', ...(collector ? {} : { exporter: discard }) });
  return { emitter, collector };
}

async function sendSpans(emitter, collector) {
  const report = await emitter.shutdown();
  if (!collector) console.log('spans: kept here, OTEL_EXPORTER_OTLP_ENDPOINT is not set');
  else if (report.reason) console.error(`spans: ${report.sent} sent to ${collector}, the others not: ${report.reason}`);
  else console.log(`spans: ${report.sent} sent`);
}

async function main() {
  const values = readOptions();
  const suite = readSuite(values.suite);
  const threshold = readThreshold(values, suite);
  const cases = suite.cases.filter((item) => values.only === undefined || item.id === values.only);
  if (cases.length === 0) throw new CannotRun(`suite ${suite.name} has no case ${values.only}`);
  const server = await openServer();
  const ollama = new Ollama({ host: server.host });
  const model = await chooseModel(ollama, server, values.model ?? process.env.NIMBUS_PARAM_MODEL);
  const id = process.env.NIMBUS_JOB_ID ? `job-${process.env.NIMBUS_JOB_ID}` : randomUUID();
  console.log(`suite ${suite.name}: ${cases.length} cases, threshold ${threshold.toFixed(2)}`);
  console.log(`model server: ${server.words}`);
  console.log(`model: ${model}`);
  if (values.results) writeFileSync(values.results, '');

  const { emitter, collector } = openEmitter();
  const run = { id, suite, model, cases, stopped: false, span: emitter.startRun(`eval suite ${suite.name}`, { 'nimbus.suite': suite.name }) };
  const stop = () => { run.stopped = true; };
  process.once('SIGTERM', stop).once('SIGINT', stop);

  const totals = await runCases(ollama, run, emitter, values.results);
  run.span.end(run.stopped ? 'stopped' : undefined);
  await server.close();
  const share = totals.passed / cases.length;
  console.log(`tokens: ${totals.input} in, ${totals.output} out`);
  console.log(`score ${share.toFixed(2)} (${totals.passed}/${cases.length} passed), threshold ${threshold.toFixed(2)}: ${share >= threshold ? 'PASS' : 'FAIL'}`);

  await sendSpans(emitter, collector);
  if (run.stopped) {
    console.error(`stopped after ${totals.ran} of ${cases.length} cases`);
    return 1;
  }
  return share >= threshold ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    const expected = error instanceof CannotRun || error instanceof SuiteError;
    console.error(`cannot run the suite: ${expected ? error.message : error.stack}`);
    if (error.hint) console.error(`hint: ${error.hint}`);
    process.exit(2);
  },
);
