import { Link } from 'react-router';
import type { JobDetail } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import { StateBadge } from '../components/StateBadge.tsx';
import { Ago, Elapsed } from '../components/Time.tsx';
import { shortRef } from '../format.ts';
import { JobActions } from './JobActions.tsx';
import styles from './JobHeader.module.css';
import { jobTitle } from './title.ts';

export function JobHeader({ job }: { job: JobDetail }) {
  const where = new URLSearchParams({ org: job.org, repo: job.repo });
  return (
    <header className={styles.header}>
      <div className={styles.top}>
        <div className={styles.title}>
          <p className={styles.crumbs}>
            <Link to="/jobs">Jobs</Link> /{' '}
            <Link to={`/jobs?${where}`}>{`${job.org}/${job.repo}`}</Link> / #{job.id}
          </p>
          <h1>{jobTitle(job)}</h1>
        </div>
        <JobActions job={job} />
      </div>
      <div className={styles.facts}>
        <StateBadge state={job.state} />
        {job.reason && <span className={styles.reason}>{job.reason}</span>}
        {job.cancel_requested && job.finished_at === null && (
          <span className={styles.reason}>cancelling…</span>
        )}
        {job.exit_code !== null && !job.reason.startsWith('exit code') && (
          <Fact name="Exit code">{job.exit_code}</Fact>
        )}
        {job.started_at && (
          <Fact name="Duration">
            <Elapsed from={job.started_at} to={job.finished_at} />
          </Fact>
        )}
        {!job.started_at && !job.finished_at && (
          <Fact name="Waiting">
            <Elapsed from={job.created_at} to={null} />
          </Fact>
        )}
        <Fact name="Created">
          <Ago at={job.created_at} />
        </Fact>
        {job.ref && <Fact name="Ref">{shortRef(job.ref)}</Fact>}
        {job.sha && (
          <Fact name="Commit">
            <code title={job.sha}>{job.sha.slice(0, 8)}</code>
          </Fact>
        )}
        {job.rerun_of !== null && (
          <Fact name="Rerun of">
            <Link to={`/jobs/${job.rerun_of}`}>#{job.rerun_of}</Link>
          </Fact>
        )}
        {job.github?.html_url && safeLink(job.github.html_url)}
      </div>
    </header>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <span className={styles.fact}>
      <span className="muted">{name}</span> {children}
    </span>
  );
}

// The address comes from outside: only a web address becomes a link.
function safeLink(url: string) {
  if (!/^https?:\/\//i.test(url)) return null;
  return (
    <a href={url} target="_blank" rel="noreferrer" className={styles.fact}>
      View on GitHub <Icon name="external" className={styles.small} />
    </a>
  );
}
