import { useQuery } from '@tanstack/react-query';
import { useParams, useSearchParams } from 'react-router';
import { isApiError } from '../api/client.ts';
import { evalRunQuery, jobQuery } from '../api/queries.ts';
import type { JobDetail } from '../api/types.ts';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { useTitle } from '../components/useTitle.ts';
import { CaseTable } from '../evals/CaseTable.tsx';
import { stateName } from '../format.ts';
import { JobArtifacts } from '../jobs/JobArtifacts.tsx';
import { JobFacts } from '../jobs/JobFacts.tsx';
import { JobHeader } from '../jobs/JobHeader.tsx';
import { Timeline } from '../jobs/Timeline.tsx';
import { jobTitle } from '../jobs/title.ts';
import { LogPanel } from '../log/LogPanel.tsx';
import styles from './Job.module.css';
import { NotFound } from './NotFound.tsx';

export default function Job() {
  const { id } = useParams();
  return id && /^[1-9]\d{0,15}$/.test(id) ? <KnownJob key={id} id={Number(id)} /> : <NotFound />;
}

function KnownJob({ id }: { id: number }) {
  const job = useQuery(jobQuery(id));
  // The state comes first: it is what one looks for among many tabs.
  useTitle(job.data ? `${stateName(job.data.state)} #${id} ${jobTitle(job.data)}` : `#${id}`);
  if (job.data) return <JobPage job={job.data} />;
  if (job.isPending) return <Loading what={`job ${id}`} />;
  if (isApiError(job.error, 404)) {
    return (
      <EmptyState title={`There is no job ${id}`} isPage>
        <p className="muted">It may belong to an organisation that your token does not cover.</p>
      </EmptyState>
    );
  }
  return <ErrorState error={job.error} doing={`reading job ${id}`} onRetry={() => job.refetch()} />;
}

// Results come in while the job runs, and for a moment after its end.
const EVALS_EVERY_MS = 5_000;
const REPORTING_MS = 30_000;

const mayReport = ({ started_at, finished_at }: JobDetail): boolean =>
  started_at !== null &&
  (finished_at === null || Date.now() - Date.parse(finished_at) < REPORTING_MS);

function JobPage({ job }: { job: JobDetail }) {
  const [search, setSearch] = useSearchParams();
  const run =
    useQuery({
      ...evalRunQuery(job.id),
      refetchInterval: mayReport(job) ? EVALS_EVERY_MS : false,
    }).data ?? null;
  const tab = run && search.get('tab') === 'eval' ? 'eval' : 'log';
  const setTab = (next: string) =>
    setSearch(
      (now) => {
        if (next === 'log') now.delete('tab');
        else now.set('tab', next);
        return now;
      },
      { replace: true },
    );
  return (
    <div className={styles.page}>
      <JobHeader job={job} />
      <div className={styles.columns}>
        <section className={styles.content} aria-label={tab === 'log' ? 'Log' : 'Eval results'}>
          {run && (
            <div className={styles.tabs}>
              <button type="button" aria-pressed={tab === 'log'} onClick={() => setTab('log')}>
                Log
              </button>
              <button type="button" aria-pressed={tab === 'eval'} onClick={() => setTab('eval')}>
                Eval results{' '}
                <span className="muted number">
                  {run.passed}/{run.cases}
                </span>
              </button>
            </div>
          )}
          {run && tab === 'eval' ? <CaseTable run={run} /> : <LogPanel job={job} />}
        </section>
        <aside className={styles.aside} aria-label="About the job">
          <Timeline job={job} />
          <JobArtifacts job={job} mayChange={mayReport(job)} />
          <JobFacts job={job} />
        </aside>
      </div>
    </div>
  );
}
