import { useQuery } from '@tanstack/react-query';
import { artifactsQuery } from '../api/storage.ts';
import type { JobDetail } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import { absolute } from '../components/Time.tsx';
import { bytes } from '../format.ts';
import styles from './JobFacts.module.css';

// Jobs upload while they run, and for a moment the last one is still being entered.
const EVERY_MS = 10_000;

// What the job left for people and for the other jobs of its run.
export function JobArtifacts({ job, mayChange }: { job: JobDetail; mayChange: boolean }) {
  const run = String(job.github?.run_id ?? job.id);
  const artifacts = useQuery({
    ...artifactsQuery(job.org, job.repo, run),
    enabled: job.started_at !== null,
    refetchInterval: mayChange ? EVERY_MS : false,
  });
  const own = artifacts.data?.items.filter((each) => each.job === String(job.id)) ?? [];
  if (own.length === 0 && !artifacts.isError) return null;
  return (
    <section aria-labelledby="artifacts">
      <h2 id="artifacts">Artifacts</h2>
      {artifacts.isError && <p role="alert">{artifacts.error.message}</p>}
      <ul className={styles.artifacts}>
        {own.map((each) => (
          <li key={each.id}>
            <a href={`/api/v1/artifacts/${each.id}/content`} download>
              <Icon name="download" />
              {each.name}
            </a>
            <span
              className={`muted ${styles.size}`}
              title={`Kept until ${absolute(each.expires_at)}`}
            >
              {bytes(each.size_bytes)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
