import { memo } from 'react';
import { Link } from 'react-router';
import type { Job } from '../api/types.ts';
import rows from '../components/rows.module.css';
import { StateBadge } from '../components/StateBadge.tsx';
import { Ago, Elapsed } from '../components/Time.tsx';
import type { RowPlace } from '../components/VirtualList.tsx';
import { shortRef } from '../format.ts';
import styles from './JobTable.module.css';
import { jobTitle } from './title.ts';

interface Props extends RowPlace {
  job: Job;
}

const LABELS_SHOWN = 3;

export const JobRow = memo(function JobRow(props: Props) {
  const { job, isActive, onFocus } = props;
  return (
    <li
      className={`${styles.columns} ${rows.row}`}
      aria-posinset={props.position}
      aria-setsize={props.total}
    >
      <span>
        <StateBadge state={job.state} plain />
      </span>
      <span className={rows.what}>
        <span className={rows.line}>
          <Link
            to={`/jobs/${job.id}`}
            className={rows.link}
            data-job={job.id}
            data-row={job.id}
            tabIndex={isActive ? 0 : -1}
            onFocus={() => onFocus(job.id)}
          >
            {jobTitle(job)}
          </Link>
          <span className={styles.id}>#{job.id}</span>
        </span>
        <span className={`${rows.line} ${rows.sub}`}>
          {job.org}/{job.repo}
          {job.ref && ` · ${shortRef(job.ref)}`}
          {job.reason && <span className={styles.reason}> · {job.reason}</span>}
        </span>
      </span>
      <span className={`${styles.labels} ${styles.wide}`}>
        {job.labels.slice(0, LABELS_SHOWN).map((label) => (
          <span key={label} className={styles.label}>
            {label}
          </span>
        ))}
        {job.labels.length > LABELS_SHOWN && (
          <span className="muted">+{job.labels.length - LABELS_SHOWN}</span>
        )}
      </span>
      <span className={rows.end}>
        {job.started_at && <Elapsed from={job.started_at} to={job.finished_at} />}
      </span>
      <span className={`${rows.end} muted`}>
        <Ago at={job.created_at} />
      </span>
    </li>
  );
});
