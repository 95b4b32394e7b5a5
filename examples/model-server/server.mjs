// A small deterministic model server: it speaks Ollama's API and answers by rules (rules.mjs). It is
// not a language model; it lets an eval suite run where no model is installed, with the same client,
// the same protocol and answers that are sometimes wrong.
//
//   node server.mjs [--port 11434] [--host 127.0.0.1]
import http from 'node:http';
import { pathToFileURL } from 'node:url';
import { answer } from './rules.mjs';

export const MODEL = 'nimbus-demo';
export const DESCRIPTION = 'nimbus demo model (deterministic, not a language model)';
const BODY_BYTES_MAX = 1 << 20;
const MESSAGES_MAX = 256;

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Words and punctuation marks: what this model counts as tokens. */
export const tokens = (text) => text.match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];

async function readBody(request) {
  let size = 0;
  const chunks = [];
  for await (const chunk of request) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new ApiError(413, `request larger than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // refused below
  }
  throw new ApiError(400, 'the request is not a JSON object');
}

function checkModel(body) {
  const name = String(body.model ?? '').replace(/:latest$/, '');
  if (name === '') throw new ApiError(400, 'model is required');
  if (name !== MODEL) throw new ApiError(404, `model '${body.model}' not found`);
}

/** The question and, before it, what the model was told to be. */
function readChat(body) {
  if (!Array.isArray(body.messages) || body.messages.length === 0 || body.messages.length > MESSAGES_MAX)
    throw new ApiError(400, `messages must be a list of 1 to ${MESSAGES_MAX}`);
  const texts = (role) => body.messages.filter((m) => m?.role === role).map((m) => String(m.content ?? ''));
  return { system: texts('system').join('\n'), prompt: texts('user').at(-1) ?? '', wantsJson: Boolean(body.format) };
}

function readGenerate(body) {
  return { system: String(body.system ?? ''), prompt: String(body.prompt ?? ''), wantsJson: Boolean(body.format) };
}

/** Pieces that joined give the text: as a model streams it. */
const pieces = (text) => text.match(/\s*\S+|\s+$/g) ?? [text];

function writeAnswer(response, body, question, wrap) {
  const started = process.hrtime.bigint();
  const limit = Number(body.options?.num_predict ?? -1);
  const all = tokens(answer(question));
  const text = limit > 0 && all.length > limit ? all.slice(0, limit).join(' ') : answer(question);
  const promptTokens = tokens(question.system).length + tokens(question.prompt).length;
  const outputTokens = tokens(text).length;
  const evaluated = Number(process.hrtime.bigint() - started);
  const head = () => ({ model: MODEL, created_at: new Date().toISOString() });
  const end = {
    done: true,
    done_reason: limit > 0 && all.length > limit ? 'length' : 'stop',
    total_duration: evaluated,
    load_duration: 0,
    prompt_eval_count: promptTokens,
    prompt_eval_duration: Math.round(evaluated / 2),
    eval_count: outputTokens,
    eval_duration: evaluated - Math.round(evaluated / 2),
  };
  if (body.stream === false) return sendJson(response, 200, { ...head(), ...wrap(text), ...end });
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  const lines = pieces(text).map((piece) => ({ ...head(), ...wrap(piece), done: false }));
  lines.push({ ...head(), ...wrap(''), ...end });
  response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

function sendJson(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

const details = { family: 'rules', families: ['rules'], format: 'rules', parameter_size: '0', quantization_level: 'none', parent_model: '' };

const routes = {
  'GET /': async (_, response) => response.end(`${DESCRIPTION}\n`),
  'HEAD /': async (_, response) => response.end(),
  'GET /api/version': async (_, response) => sendJson(response, 200, { version: '0.6.0', server: DESCRIPTION }),
  'GET /api/tags': async (_, response) =>
    sendJson(response, 200, { models: [{ name: `${MODEL}:latest`, model: `${MODEL}:latest`, modified_at: '2026-01-01T00:00:00Z', size: 0, digest: '', details }] }),
  'POST /api/show': async (request, response) => {
    checkModel(await readBody(request));
    sendJson(response, 200, { details, model_info: { 'general.description': DESCRIPTION } });
  },
  'POST /api/chat': async (request, response) => {
    const body = await readBody(request);
    checkModel(body);
    writeAnswer(response, body, readChat(body), (content) => ({ message: { role: 'assistant', content } }));
  },
  'POST /api/generate': async (request, response) => {
    const body = await readBody(request);
    checkModel(body);
    writeAnswer(response, body, readGenerate(body), (text) => ({ response: text }));
  },
};

async function handle(request, response) {
  try {
    const { pathname } = new URL(request.url, 'http://model');
    const route = routes[`${request.method} ${pathname}`];
    if (!route) throw new ApiError(404, `no ${request.method} ${pathname} here`);
    await route(request, response);
  } catch (error) {
    if (!response.headersSent) sendJson(response, error.status ?? 500, { error: error.message });
    else response.destroy();
  }
}

/** Listens, on a free port unless one is named, and tells where. */
export async function startModelServer({ port = 0, host = '127.0.0.1' } = {}) {
  const server = http.createServer(handle);
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    url: `http://${host}:${server.address().port}`,
    close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const option = (name) => process.argv[process.argv.indexOf(name) + 1];
  const has = (name) => process.argv.includes(name);
  const server = await startModelServer({ port: has('--port') ? Number(option('--port')) : 11434, host: has('--host') ? option('--host') : '127.0.0.1' });
  console.log(`${DESCRIPTION}: ${server.url}`);
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => server.close());
}
