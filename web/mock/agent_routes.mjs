// The agents' side of the mock: enrolment, assignments, events and log lines, so that a script can play
// an agent against it exactly as it would against the server.
import { randomBytes } from 'node:crypto';
import { isFinal } from './store.mjs';

const RESULT_STATES = ['succeeded', 'failed', 'timed_out', 'cancelled'];

export function agentRoutes({ store, bodyOf, reply, Refusal, need }) {
  const enrollments = new Set();
  const credentials = new Map(); // credential → agent id
  const jobTokens = new Map(); // job token → {job, fence}

  const bearerOf = (request) => /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  const agentOf = (request) => {
    const agent = store.agents.get(credentials.get(bearerOf(request)));
    if (!agent) throw new Refusal(401, 'No valid credential');
    return agent;
  };

  return {
    'POST /api/v1/jobs': async (request, response) => {
      need(request, 'operator');
      const job = store.createJob(JSON.parse(await bodyOf(request)));
      reply(response, 201, { id: job.id, state: job.state });
    },
    'POST /api/v1/agents/enrollments': (request, response) => {
      need(request, 'operator');
      const token = randomBytes(16).toString('hex');
      enrollments.add(token);
      reply(response, 201, { token, expires_at: new Date(Date.now() + 3_600_000).toISOString() });
    },
    'POST /api/v1/agents': async (request, response) => {
      if (!enrollments.delete(bearerOf(request))) throw new Refusal(401, 'The token is not valid');
      const now = new Date().toISOString();
      const { name, slots, ...machine } = JSON.parse(await bodyOf(request));
      const id = `agent-${randomBytes(6).toString('hex')}`;
      const times = { enrolled_at: now, last_seen_at: now };
      const defaults = { version: '0.1.0', vmm: 'qemu', accel: 'kvm', cgroup: 'v2' };
      const state = { state: 'online', slots_free: slots, warm: 0, jobs: [] };
      store.addAgent({ id, name, slots, ...state, ...defaults, ...machine, ...times });
      const credential = randomBytes(16).toString('hex');
      credentials.set(credential, id);
      reply(response, 201, { id, credential });
    },
    'POST /api/v1/agents/([\\w-]+)/assignments': async (request, response) => {
      const agent = agentOf(request);
      const { slots_free } = JSON.parse(await bodyOf(request));
      const queued = store.jobs.filter((job) => job.state === 'queued').slice(0, slots_free);
      const assignments = queued.map((job) => {
        store.move(job, 'leased', { agent: agent.id });
        const job_token = randomBytes(16).toString('hex');
        jobTokens.set(job_token, { job, fence: job.fence });
        const expires_at = new Date(Date.now() + 60_000).toISOString();
        return {
          job: job.id,
          fence: job.fence,
          expires_at,
          job_token,
          spec: { command: job.command },
        };
      });
      reply(
        response,
        assignments.length > 0 ? 200 : 204,
        assignments.length > 0 ? { assignments } : undefined,
      );
    },
    'PUT /api/v1/jobs/(\\d+)/lease': async (request, response, [id]) => {
      agentOf(request);
      const job = store.job(Number(id));
      const job_token = [...jobTokens].find(([, held]) => held.job === job)?.[0];
      const expires_at = new Date(Date.now() + 60_000).toISOString();
      reply(response, 200, { expires_at, cancel: job.cancel_requested, job_token });
    },
    'POST /api/v1/jobs/(\\d+)/events': async (request, response, [id]) => {
      agentOf(request);
      const job = store.job(Number(id));
      const event = JSON.parse(await bodyOf(request));
      if (event.fence !== job.fence || isFinal(job)) throw new Refusal(409, 'The fence is stale');
      if (event.type === 'started') store.move(job, 'running');
      else if (event.type === 'abandoned') store.move(job, 'queued', { reason: event.reason });
      else if (event.type === 'finished' && RESULT_STATES.includes(event.result)) {
        store.move(job, event.result, {
          exit_code: event.exit_code ?? null,
          reason: event.reason ?? '',
        });
      }
      reply(response, 202, { state: job.state });
    },
    'POST /api/v1/jobs/(\\d+)/logs': async (request, response, [id]) => {
      const held = jobTokens.get(bearerOf(request));
      if (held?.job.id !== Number(id)) throw new Refusal(401, 'No valid credential');
      const lines = (await bodyOf(request))
        .split('\n')
        .filter(Boolean)
        .map((text) => JSON.parse(text));
      for (const line of lines) line.ts = new Date(line.ts / 1e6).toISOString();
      reply(response, 200, { acked: store.addLines(held.job, held.fence, lines) });
    },
  };
}
