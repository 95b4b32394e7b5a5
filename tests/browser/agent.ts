// An agent played by the test over the real protocol: it takes jobs, writes their lines and ends them,
// so that what the page shows is known to the line.
import { randomBytes } from 'node:crypto';
import type { Server } from './server.ts';
import { upload, uploadArtifact } from './uploads.ts';
import { waitFor } from './wait.ts';

interface Assignment {
  job: number;
  fence: number;
  job_token: string;
}

const LINES_PER_BATCH = 5000;

export interface EvalResult {
  name: string;
  score: number;
}

function attributes(values: Record<string, string | number | boolean>) {
  return Object.entries(values).map(([key, value]) => {
    if (typeof value === 'string') return { key, value: { stringValue: value } };
    if (typeof value === 'boolean') return { key, value: { boolValue: value } };
    return { key, value: { doubleValue: value } };
  });
}

export class Execution {
  readonly job: number;
  readonly fence: number;
  #server: Server;
  #credential: string;
  #token: string;
  #eventSeq = 0;
  #lineSeq = 0;

  constructor(server: Server, credential: string, assignment: Assignment) {
    this.#server = server;
    this.#credential = credential;
    this.#token = assignment.job_token;
    this.job = assignment.job;
    this.fence = assignment.fence;
  }

  async event(type: string, more: object = {}): Promise<void> {
    this.#eventSeq += 1;
    const body = { fence: this.fence, seq: this.#eventSeq, type, ...more };
    await this.#server.call('POST', `/api/v1/jobs/${this.job}/events`, body, this.#credential);
  }

  // Each line is a text, or a text with its stream.
  async write(...lines: (string | [string, 'stdout' | 'stderr' | 'system'])[]): Promise<void> {
    for (let first = 0; first < lines.length; first += LINES_PER_BATCH) {
      const batch = lines.slice(first, first + LINES_PER_BATCH).map((line) => {
        this.#lineSeq += 1;
        const [text, stream] = typeof line === 'string' ? [line, 'stdout'] : line;
        const ts = Date.now() * 1_000_000;
        return `{"ts":${ts},"seq":${this.#lineSeq},"stream":"${stream}","text":${JSON.stringify(text)}}\n`;
      });
      await this.#server.call('POST', `/api/v1/jobs/${this.job}/logs`, batch.join(''), this.#token);
    }
  }

  // A file in the cache, as `curl -T` puts it from inside the job.
  async cache(key: string, size: number): Promise<void> {
    await upload(`${this.#server.url}/cache/${key}`, this.#token, randomBytes(size));
  }

  // An artifact, as @actions/artifact uploads it from inside the job.
  async artifact(name: string, bytes: Buffer): Promise<void> {
    await uploadArtifact(this.#server, this.#token, name, bytes);
  }

  // Eval results, as a suite sends them: spans over OTLP/HTTP.
  async report(suite: string, cases: EvalResult[]): Promise<void> {
    const spans = cases.map((each, index) => ({
      traceId: '5b8efff798038103d269b633813fc60c',
      spanId: (index + 1).toString(16).padStart(16, '0'),
      name: 'eval case',
      startTimeUnixNano: String(Date.now() * 1_000_000),
      endTimeUnixNano: String((Date.now() + 1500) * 1_000_000),
      attributes: attributes({
        'evalops.suite': suite,
        'evalops.run.id': `run-${this.job}`,
        'evalops.case.id': each.name,
        'gen_ai.evaluation.name': 'exact match',
        'gen_ai.evaluation.score.value': each.score,
        'evalops.passed': each.score >= 0.5,
        'gen_ai.request.model': 'qwen3-8b',
        'gen_ai.usage.input_tokens': 100,
        'gen_ai.usage.output_tokens': 20,
      }),
    }));
    const body = { resourceSpans: [{ resource: {}, scopeSpans: [{ scope: {}, spans }] }] };
    await this.#server.call('POST', '/v1/traces', body, this.#token);
  }

  finish(result: string, more: object = {}): Promise<void> {
    return this.event('finished', { result, log_last_seq: this.#lineSeq, ...more });
  }
}

export class Agent {
  readonly id: string;
  #server: Server;
  #credential: string;

  private constructor(server: Server, id: string, credential: string) {
    this.#server = server;
    this.id = id;
    this.#credential = credential;
  }

  static async enroll(server: Server, name: string): Promise<Agent> {
    const { token } = await server.call<{ token: string }>('POST', '/api/v1/agents/enrollments');
    const machine = { name, slots: 4, version: '0.1.0', vmm: 'qemu', accel: 'kvm', cgroup: 'v2' };
    const made = await server.call<{ id: string; credential: string }>(
      'POST',
      '/api/v1/agents',
      machine,
      token,
    );
    return new Agent(server, made.id, made.credential);
  }

  async poll(slots_free = 0): Promise<Assignment[]> {
    const answer = await this.#server.call<{ assignments: Assignment[] } | undefined>(
      'POST',
      `/api/v1/agents/${this.id}/assignments`,
      { slots_free, wait_s: 0 },
      this.#credential,
    );
    return answer?.assignments ?? [];
  }

  // Creates a job and takes it.
  async lease(spec: object = {}): Promise<Execution> {
    const id = await createJob(this.#server, spec);
    let assignment: Assignment | undefined;
    await waitFor(`job ${id} to be assigned`, async () => {
      const assignments = await this.poll(1);
      assignment = assignments.find((each) => each.job === id);
      return assignment !== undefined;
    });
    return new Execution(this.#server, this.#credential, assignment as Assignment);
  }

  async run(spec: object = {}): Promise<Execution> {
    const execution = await this.lease(spec);
    await execution.event('started');
    return execution;
  }
}

export async function createJob(server: Server, spec: object = {}): Promise<number> {
  const body = { org: 'acme', repo: 'app', command: ['echo', 'hello'], ...spec };
  return (await server.call<{ id: number }>('POST', '/api/v1/jobs', body)).id;
}
