import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { agentsQuery } from '../api/queries.ts';
import { atLeast, useSession } from '../api/session.ts';
import type { JobDetail } from '../api/types.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { Loading } from '../components/Loading.tsx';
import type { LogState } from './follow.ts';

// What stands in the place of a log without lines: why, and whether any will come.
export function NoLines(props: { job: JobDetail; state: LogState; reason: string }) {
  const { job, state, reason } = props;
  if (state === 'refused') return <Words title="The log cannot be shown">{reason}</Words>;
  if (state === 'lost') {
    return (
      <Words title="The log cannot be read right now">{reason}. Trying again by itself.</Words>
    );
  }
  if (job.finished_at) {
    if (state !== 'ended' && job.log.last_seq !== 0) return <Loading what="the log" />;
    return <EmptyState title={job.started_at ? 'The job wrote nothing' : 'The job never ran'} />;
  }
  if (job.state === 'queued') return <Queued job={job} />;
  const title = job.state === 'running' ? 'Nothing written yet' : 'The microVM is starting';
  return <Words title={title}>The job’s output appears here, line by line.</Words>;
}

function Queued({ job }: { job: JobDetail }) {
  const isOperator = atLeast(useSession(), 'operator');
  const agents = useQuery({ ...agentsQuery, enabled: isOperator, retry: false }).data;
  if (job.reason.startsWith('held')) {
    return <Words title="Waiting for its turn">It is {job.reason}.</Words>;
  }
  if (agents && !agents.items.some((agent) => agent.state === 'online')) {
    return (
      <EmptyState title="No agent is online to run it">
        <p className="muted">
          <code>nimbus up</code> has one of its own. For another host, make an enrolment token here
          and follow what it prints:
        </p>
        <Command>nimbus agent enroll</Command>
      </EmptyState>
    );
  }
  return <Words title="Waiting for a free slot">Its output appears here, line by line.</Words>;
}

function Words({ title, children }: { title: string; children: ReactNode }) {
  return (
    <EmptyState title={title}>
      <p className="muted">{children}</p>
    </EmptyState>
  );
}
