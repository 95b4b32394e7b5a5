// A small stand-in for the server, for working on the pages without one:
//   npm run mock        then   npm run dev      (NIMBUS_SERVER points the latter elsewhere)
// Sign in with nbt_admin, nbt_operator or nbt_viewer. Strict about sessions and CSRF; keeps nothing.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { agentRoutes } from './agent_routes.mjs';
import { serveFile } from './files.mjs';
import { fillSample } from './sample.mjs';
import { storageRoutes } from './storage_routes.mjs';
import { isFinal, Store } from './store.mjs';

const TOKENS = { nbt_admin: 'admin', nbt_operator: 'operator', nbt_viewer: 'viewer' };
const RANK = ['viewer', 'operator', 'admin'];

class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const reply = (response, status, value, type = 'application/json') => {
  response.writeHead(status, { 'Content-Type': type });
  response.end(value === undefined ? undefined : JSON.stringify(value));
};

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

export function makeMock({ store = new Store() } = {}) {
  const sessions = new Map();

  const sessionOf = (request) => {
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (bearer && TOKENS[bearer]) return { role: TOKENS[bearer], org: '*' };
    const cookie = /(?:^|;\s*)nimbus_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1];
    const session = sessions.get(cookie);
    if (!session) throw new Refusal(401, 'No valid credential');
    const isWrite = request.method !== 'GET';
    if (isWrite && request.headers['x-nimbus-csrf'] !== session.csrf) {
      throw new Refusal(403, 'The X-Nimbus-Csrf header is missing or wrong');
    }
    return { cookie, ...session };
  };
  const need = (request, role) => {
    const session = sessionOf(request);
    if (RANK.indexOf(session.role) < RANK.indexOf(role))
      throw new Refusal(403, `This takes the role ${role}`);
    return session;
  };
  const jobOf = (id) => {
    const job = store.job(Number(id));
    if (!job) throw new Refusal(404, `There is no job ${id}`);
    return job;
  };
  const stream = (request, response, stop) => {
    response.on('close', stop);
    const beat = setInterval(() => response.write(': alive\n\n'), 15_000);
    response.on('close', () => clearInterval(beat));
    request.socket.setNoDelay(true);
  };

  const routes = {
    ...agentRoutes({ store, bodyOf, reply, Refusal, need }),
    ...storageRoutes({ reply, Refusal, need }),
    'POST /api/v1/session': async (request, response) => {
      const { token } = JSON.parse(await bodyOf(request));
      const role = TOKENS[token];
      if (!role) throw new Refusal(401, 'The token is not valid');
      const cookie = randomBytes(16).toString('hex');
      const session = { role, org: '*', csrf: randomBytes(16).toString('hex') };
      sessions.set(cookie, session);
      response.setHeader(
        'Set-Cookie',
        `nimbus_session=${cookie}; HttpOnly; SameSite=Strict; Path=/`,
      );
      reply(response, 200, session);
    },
    'GET /api/v1/session': (request, response) => {
      const { role, org, csrf } = sessionOf(request);
      reply(response, 200, { role, org, csrf });
    },
    'DELETE /api/v1/session': (request, response) => {
      sessions.delete(sessionOf(request).cookie);
      response.setHeader('Set-Cookie', 'nimbus_session=; Max-Age=0; Path=/');
      reply(response, 204);
    },
    'POST /api/v1/tokens': async (request, response) => {
      need(request, 'admin');
      const { name, role, org } = JSON.parse(await bodyOf(request));
      const token = `nbt_${randomBytes(16).toString('hex')}`;
      TOKENS[token] = role;
      reply(response, 201, { id: 1, name, role, org, token, expires_at: null });
    },
    'GET /readyz': (_request, response) => {
      reply(
        response,
        200,
        store.health ?? { status: 'ready', parts: { database: { status: 'ok' } } },
      );
    },
    'GET /api/v1/jobs': (request, response, _match, query) => {
      need(request, 'viewer');
      reply(response, 200, listJobs(store, query));
    },
    'GET /api/v1/jobs/(\\d+)': (request, response, [id]) => {
      need(request, 'viewer');
      reply(response, 200, jobOf(id));
    },
    'POST /api/v1/jobs/(\\d+)/cancel': (request, response, [id]) => {
      need(request, 'operator');
      const job = jobOf(id);
      if (isFinal(job)) throw new Refusal(409, `Job ${id} has already ended`);
      store.cancel(job);
      reply(response, 202, job);
    },
    'POST /api/v1/jobs/(\\d+)/rerun': (request, response, [id]) => {
      need(request, 'operator');
      const job = store.createJob({ ...jobOf(id), reason: '', rerun_of: Number(id) });
      reply(response, 202, { id: job.id, state: job.state });
    },
    'GET /api/v1/jobs/(\\d+)/logs': (request, response, [id], query) => {
      need(request, 'viewer');
      followLog(store, jobOf(id), query, response, (stop) => stream(request, response, stop));
    },
    'GET /api/v1/events': (request, response) => {
      need(request, 'viewer');
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(': hello\n\n');
      const last = Number(request.headers['last-event-id'] ?? 0);
      const send = ({ id, type, data }) =>
        response.write(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`);
      stream(request, response, store.feed.follow(last, send));
    },
    'GET /api/v1/agents': (request, response) => {
      need(request, 'operator');
      reply(response, 200, {
        items: [...store.agents.values()].filter((agent) => agent.state !== 'revoked'),
        next_cursor: null,
      });
    },
    'POST /api/v1/agents/([\\w-]+)/(drain|resume)': (request, response, [id, act]) => {
      need(request, 'operator');
      const state = act === 'drain' ? 'draining' : 'online';
      reply(response, 202, store.addAgent({ ...store.agents.get(id), state }));
    },
    'DELETE /api/v1/agents/([\\w-]+)': (request, response, [id]) => {
      need(request, 'operator');
      store.addAgent({ ...store.agents.get(id), state: 'revoked', jobs: [] });
      reply(response, 204);
    },
    'GET /api/v1/evals/runs': (request, response, _match, query) => {
      need(request, 'viewer');
      const job = Number(query.get('job') ?? 0);
      const runs = [...store.evals.values()].filter((run) => !job || run.job === job).reverse();
      const items = runs.map(({ cases_detail: _, ...run }) => run);
      reply(response, 200, { items, next_cursor: null });
    },
    'GET /api/v1/evals/runs/(\\d+)': (request, response, [id]) => {
      need(request, 'viewer');
      const run = store.evals.get(Number(id));
      if (!run) throw new Refusal(404, `Job ${id} left no eval results`);
      reply(response, 200, run);
    },
  };
  const table = Object.entries(routes).map(([key, handler]) => {
    const [method, path] = key.split(' ');
    return { method, pattern: new RegExp(`^${path}$`), handler };
  });

  return createServer(async (request, response) => {
    const url = new URL(request.url, 'http://mock');
    try {
      for (const { method, pattern, handler } of table) {
        const match = method === request.method && pattern.exec(url.pathname);
        if (match) {
          await handler(request, response, match.slice(1), url.searchParams);
          return;
        }
      }
      if (serveFile(request, response)) return;
      throw new Refusal(404, 'There is nothing here');
    } catch (error) {
      const status = error.status ?? 400;
      reply(
        response,
        status,
        { type: 'about:blank', title: 'Refused', status, detail: error.message },
        'application/problem+json',
      );
    }
  });
}

function listJobs(store, query) {
  const states = (query.get('state') ?? '').split(',').filter(Boolean);
  const [key, value] = (query.get('metadata') ?? '').split('=');
  const fits = (job) =>
    (states.length === 0 || states.includes(job.state)) &&
    ['org', 'repo'].every((name) => !query.get(name) || query.get(name) === job[name]) &&
    (!query.get('label') || job.labels.includes(query.get('label'))) &&
    (!key || job.metadata[key] === value);
  const limit = Math.min(1000, Number(query.get('limit') ?? 100));
  const items = [];
  let id = Number(query.get('cursor') ?? store.jobs.length + 1) - 1;
  for (; id > 0 && items.length < limit; id -= 1) {
    const { env: _env, transitions: _transitions, ...job } = store.job(id);
    if (fits(job)) items.push(job);
  }
  return { items, next_cursor: id > 0 ? String(id + 1) : null };
}

// The log as server-sent events, in writes of many lines.
function followLog(store, job, query, response, onStop) {
  const asked = Number(query.get('fence') ?? 0);
  let fence = asked || job.fence;
  let after = Number(query.get('after') ?? 0);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const event = (type, data, id = '') =>
    `${id && `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  response.write(event('execution', { fence }));
  let at = 0;
  let isFull = false;
  const pump = (changed) => {
    if (changed !== job || isFull || response.writableEnded) return;
    if (!asked && job.fence !== fence) {
      [fence, at, after] = [job.fence, 0, 0];
      response.write(event('execution', { fence }));
    }
    const lines = store.logs.get(`${job.id}/${fence}`) ?? [];
    while (at < lines.length && !isFull) {
      const batch = lines.slice(at, at + 1000).filter((line) => line.seq > after);
      at = Math.min(lines.length, at + 1000);
      isFull = !response.write(
        batch.map((line) => event('line', line, line.seq)).join('') || ':\n',
      );
    }
    if (isFull) {
      response.once('drain', () => {
        isFull = false;
        pump(job);
      });
    } else if (isFinal(job)) {
      response.end(
        event('end', { state: job.state, exit_code: job.exit_code, last_seq: after, missing: 0 }),
      );
    }
  };
  onStop(store.onLog(pump));
  pump(job);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const store = new Store();
  fillSample(store, Number(process.env.JOBS ?? 2000));
  const port = Number(process.env.PORT ?? 8080);
  makeMock({ store }).listen(port, '127.0.0.1', () => {
    process.stdout.write(`mock: http://127.0.0.1:${port}, token nbt_admin\n`);
  });
}
