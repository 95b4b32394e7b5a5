// Carries feed events into the kept answers. Events are gathered for a moment, so that a burst costs
// one pass over the lists, not one per job.

import type { QueryClient } from '@tanstack/react-query';
import type { JobFilter } from '../jobs/filter.ts';
import { applyJobs, type JobPages, mergeFirstPage } from '../jobs/live.ts';
import { get } from './client.ts';
import { jobsPath } from './queries.ts';
import type { ServerEvent } from './sse.ts';
import type { Agent, AgentList, Health, Job, JobDetail, JobList } from './types.ts';

const GATHER_MS = 80;

export class LiveAnswers {
  readonly #client: QueryClient;
  #jobs: Job[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: QueryClient) {
    this.#client = client;
  }

  take = (events: ServerEvent[]): void => {
    for (const event of events) {
      if (event.type === 'job') this.#jobs.push(JSON.parse(event.data) as Job);
      else if (event.type === 'agent') this.#takeAgent(JSON.parse(event.data) as Agent);
      else if (event.type === 'health') {
        this.#client.setQueryData(['health'], JSON.parse(event.data) as Health);
      } else if (event.type === 'resync') this.catchUp();
    }
    if (this.#jobs.length > 0) this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
  };

  // Events may be missing: asks again for everything on screen.
  catchUp = (): void => {
    for (const name of ['job', 'agents', 'health', 'evals']) {
      void this.#client.invalidateQueries({ queryKey: [name] });
    }
    for (const query of this.#client.getQueryCache().findAll({ queryKey: ['jobs'] })) {
      const filter = query.queryKey[1] as JobFilter;
      void get<JobList>(jobsPath(filter, null)).then(
        (fresh) =>
          this.#client.setQueryData<JobPages>(query.queryKey, (data) =>
            data ? mergeFirstPage(data, fresh) : data,
          ),
        () => {}, // the next reconnection tries again
      );
    }
  };

  #flush(): void {
    const jobs = this.#jobs;
    this.#jobs = [];
    this.#timer = undefined;
    for (const query of this.#client.getQueryCache().findAll({ queryKey: ['jobs'] })) {
      const filter = query.queryKey[1] as JobFilter;
      this.#client.setQueryData<JobPages>(query.queryKey, (data) =>
        data ? applyJobs(data, jobs, filter) : data,
      );
    }
    for (const job of new Map(jobs.map((each) => [each.id, each])).values()) this.#takeJob(job);
  }

  // A job's page keeps its env and transitions until they are read again.
  #takeJob(job: Job): void {
    const known = this.#client.getQueryData<JobDetail>(['job', job.id]);
    if (!known) return;
    this.#client.setQueryData<JobDetail>(['job', job.id], { ...known, ...job });
    if (known.state !== job.state || known.fence !== job.fence) {
      void this.#client.invalidateQueries({ queryKey: ['job', job.id] });
      void this.#client.invalidateQueries({ queryKey: ['evals'] });
    }
  }

  // Revoked agents leave the list, as they are left out of the server's.
  #takeAgent(agent: Agent): void {
    this.#client.setQueryData<AgentList>(['agents'], (list) => {
      if (!list) return list;
      const others = list.items.filter((each) => each.id !== agent.id);
      if (agent.state === 'revoked') return { ...list, items: others };
      if (others.length === list.items.length) return { ...list, items: [...others, agent] };
      return { ...list, items: list.items.map((each) => (each.id === agent.id ? agent : each)) };
    });
  }
}
