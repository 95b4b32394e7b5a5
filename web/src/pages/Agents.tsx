import { useQuery } from '@tanstack/react-query';
import { AgentRow } from '../agents/AgentRow.tsx';
import { isApiError } from '../api/client.ts';
import { agentsQuery } from '../api/queries.ts';
import type { Agent } from '../api/types.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { useTitle } from '../components/useTitle.ts';
import { plural } from '../format.ts';
import styles from './Agents.module.css';

export default function Agents() {
  useTitle('Agents');
  const agents = useQuery(agentsQuery);
  if (agents.isPending) return <Loading what="the agents" />;
  if (isApiError(agents.error, 403)) {
    return (
      <EmptyState title="Agents are for operators" isPage>
        <p className="muted">
          They serve every organisation. Sign in with a token that covers all orgs:
        </p>
        <Command>nimbus token create --name me --role operator --org '*'</Command>
      </EmptyState>
    );
  }
  if (agents.isError) {
    return (
      <ErrorState
        error={agents.error}
        doing="reading the agents"
        onRetry={() => agents.refetch()}
      />
    );
  }
  return (
    <div className="page">
      <h1>Agents</h1>
      {agents.data.items.length === 0 ? <Nothing /> : <AgentTable agents={agents.data.items} />}
    </div>
  );
}

function Nothing() {
  return (
    <EmptyState title="No agent yet">
      <p className="muted">
        An agent runs the jobs of one host. <code>nimbus up</code> has one of its own; for another
        host make an enrolment token here and follow what it prints:
      </p>
      <Command>nimbus agent enroll</Command>
    </EmptyState>
  );
}

const ORDER = { online: 0, draining: 1, offline: 2, revoked: 3 };

function AgentTable({ agents }: { agents: Agent[] }) {
  const sorted = agents.toSorted(
    (a, b) => ORDER[a.state] - ORDER[b.state] || a.name.localeCompare(b.name),
  );
  const live = agents.filter((agent) => agent.state === 'online');
  const slots = live.reduce((sum, agent) => sum + agent.slots, 0);
  const free = live.reduce((sum, agent) => sum + agent.slots_free, 0);
  return (
    <>
      <p className={styles.summary}>
        {`${plural(live.length, 'agent')} online · ${free} of ${plural(slots, 'slot')} free`}
      </p>
      <div className="panel spaced">
        <table className="table">
          <caption className="visually-hidden">Agents, online ones first</caption>
          <thead>
            <tr>
              <th scope="col">Agent</th>
              <th scope="col">State</th>
              <th scope="col">Slots</th>
              <th scope="col">Jobs</th>
              <th scope="col">Machine</th>
              <th scope="col">Version</th>
              <th scope="col">Last seen</th>
              <th scope="col">
                <span className="visually-hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((agent) => (
              <AgentRow key={agent.id} agent={agent} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
