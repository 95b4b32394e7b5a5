// The mock's memory: jobs, agents, logs and the event feed, with control's rules in small.

const EVENTS_KEPT = 1000;
const FINAL = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'lost']);
export const isFinal = (job) => FINAL.has(job.state);

export class Feed {
  #events = [];
  #listeners = new Set();
  #next = 1;

  publish(type, data) {
    const event = { id: this.#next++, type, data: JSON.stringify(data) };
    this.#events.push(event);
    if (this.#events.length > EVENTS_KEPT) this.#events.shift();
    for (const listener of this.#listeners) listener(event);
  }

  // Calls with every event after `lastId`, then with each new one; gives the function that stops it.
  follow(lastId, listener) {
    if (lastId > 0) for (const event of this.#events) if (event.id > lastId) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export class Store {
  feed = new Feed();
  jobs = []; // by rising id; the id is the index plus one
  agents = new Map();
  evals = new Map();
  logs = new Map(); // `job/fence` → lines
  #logListeners = new Set();

  createJob(spec, at = new Date().toISOString()) {
    const job = {
      id: this.jobs.length + 1,
      org: spec.org,
      repo: spec.repo,
      ref: spec.ref ?? null,
      sha: spec.sha ?? null,
      state: 'queued',
      reason: spec.reason ?? '',
      profile: spec.profile ?? null,
      image: spec.image ?? 'nimbus/base',
      command: spec.command,
      labels: spec.labels ?? ['nimbus'],
      metadata: spec.metadata ?? {},
      resources: { cpus: 2, memory_mb: 2048, disk_mb: 10240, ...spec.resources },
      timeout_s: spec.timeout_s ?? 3600,
      fence: 0,
      tries: 0,
      tries_max: (spec.retries ?? 2) + 1,
      agent: null,
      exit_code: null,
      cancel_requested: false,
      created_at: at,
      leased_at: null,
      started_at: null,
      finished_at: null,
      log: { last_seq: null },
      github: spec.github ?? null,
      rerun_of: spec.rerun_of ?? null,
      env: spec.env ?? {},
      transitions: [{ state: 'queued', fence: 0, at, reason: spec.reason ?? '' }],
    };
    this.jobs.push(job);
    this.#changed(job);
    return job;
  }

  job = (id) => this.jobs[id - 1];

  move(job, state, change = {}, at = new Date().toISOString()) {
    const { reason = '', ...rest } = change;
    Object.assign(job, rest, { state, reason });
    if (state === 'leased') {
      job.fence += 1;
      job.tries += 1;
      job.leased_at = at;
    } else if (state === 'running') job.started_at = at;
    else if (isFinal(job)) job.finished_at = at;
    job.transitions.push({ state, fence: job.fence, at, reason });
    this.#changed(job);
    if (isFinal(job)) this.#tellLogs(job);
  }

  cancel(job) {
    job.cancel_requested = true;
    if (job.state === 'queued') this.move(job, 'cancelled', { reason: 'cancelled' });
    else this.#changed(job);
  }

  // Lines in seq order; those known already are ignored.
  addLines(job, fence, lines) {
    const key = `${job.id}/${fence}`;
    const known = this.logs.get(key) ?? [];
    this.logs.set(key, known);
    let last = known.at(-1)?.seq ?? 0;
    for (const line of lines) {
      if (line.seq <= last) continue;
      known.push({ ...line, fence });
      last = line.seq;
    }
    if (fence === job.fence) job.log = { last_seq: last };
    this.#tellLogs(job);
    return last;
  }

  onLog(listener) {
    this.#logListeners.add(listener);
    return () => this.#logListeners.delete(listener);
  }

  addAgent(agent) {
    this.agents.set(agent.id, agent);
    this.feed.publish('agent', agent);
    return agent;
  }

  #tellLogs(job) {
    for (const listener of this.#logListeners) listener(job);
  }

  #changed(job) {
    const { env: _env, transitions: _transitions, ...item } = job;
    this.feed.publish('job', item);
  }
}
