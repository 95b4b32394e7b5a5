import { useQuery } from '@tanstack/react-query';
import { healthQuery } from '../api/queries.ts';
import type { HealthPart, Health as HealthReport } from '../api/types.ts';
import { ErrorState } from '../components/ErrorState.tsx';
import { Icon } from '../components/icons.tsx';
import { Loading } from '../components/Loading.tsx';
import { useTitle } from '../components/useTitle.ts';
import styles from './Health.module.css';

const HEADLINES: Record<HealthReport['status'], [string, string]> = {
  ready: ['Everything works', 'All parts answer.'],
  degraded: ['Jobs run, but a part is missing', 'What it does waits or is away until it is back.'],
  unavailable: ['Nimbus cannot do its work', 'A part that everything needs does not answer.'],
};

// What each part is for, so that its name alone need not say it.
const PURPOSES: Record<string, string> = {
  database: 'Jobs, leases, agents, tokens',
  telemetry: 'Logs, traces and eval results',
  agent: 'Runs the jobs of this host',
  cache: 'What jobs keep for later jobs, and artifacts',
  registry: 'Images that jobs push and pull',
  server: 'Takes requests',
  storage: 'The disk or bucket that caches and images lie in',
};

export default function Health() {
  useTitle('Health');
  const health = useQuery(healthQuery);
  if (health.isPending) return <Loading what="the state of the server" />;
  if (health.isError) {
    return (
      <ErrorState error={health.error} doing="asking the server" onRetry={() => health.refetch()} />
    );
  }
  const { status, parts } = health.data;
  const [headline, words] = HEADLINES[status] ?? [status, ''];
  return (
    <div className="page">
      <h1>Health</h1>
      <div className={styles.headline} data-status={status} role="status">
        <Icon name={status === 'ready' ? 'succeeded' : 'warning'} />
        <div>
          <strong>{headline}</strong>
          <p>{words}</p>
        </div>
      </div>
      <ul className={`panel ${styles.parts}`}>
        {Object.entries(parts).map(([name, part]) => (
          <Part key={name} name={name} part={part} />
        ))}
      </ul>
    </div>
  );
}

function Part({ name, part }: { name: string; part: HealthPart }) {
  return (
    <li className={styles.part}>
      <div>
        <strong className={styles.name}>{name}</strong>
        <p className="muted">{PURPOSES[name] ?? ''}</p>
      </div>
      <div className={styles.status} data-status={part.status}>
        {part.status}
      </div>
      <p className={styles.detail}>{part.detail ?? ''}</p>
    </li>
  );
}
