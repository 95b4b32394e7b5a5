import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { JobDetail } from '../api/types.ts';
import { CopyButton } from '../components/CopyButton.tsx';
import { commandLine, duration, memory } from '../format.ts';
import styles from './JobFacts.module.css';

export function JobFacts({ job }: { job: JobDetail }) {
  const { resources } = job;
  return (
    <>
      <section aria-labelledby="facts">
        <h2 id="facts">Details</h2>
        <dl className={styles.facts}>
          <Row name="Image">{job.image}</Row>
          {job.profile && <Row name="Profile">{job.profile}</Row>}
          <Row name="CPUs">{resources.cpus}</Row>
          <Row name="Memory">{memory(resources.memory_mb)}</Row>
          <Row name="Disk">{memory(resources.disk_mb)}</Row>
          <Row name="Time limit">{duration(job.timeout_s)}</Row>
          <Row name="Tries">{`${job.tries} of ${job.tries_max}`}</Row>
          {job.agent && (
            <Row name="Agent">
              <Link to={`/agents#${job.agent}`}>{job.agent}</Link>
            </Row>
          )}
          {job.github?.workflow_name && <Row name="Workflow">{job.github.workflow_name}</Row>}
          {job.github && (
            <Row name="Run">{`${job.github.run_id}, attempt ${job.github.run_attempt}`}</Row>
          )}
        </dl>
      </section>
      {job.labels.length > 0 && (
        <section aria-labelledby="labels">
          <h2 id="labels">Labels</h2>
          <ul className={styles.labels}>
            {job.labels.map((label) => (
              <li key={label}>
                <Link to={`/jobs?${new URLSearchParams({ label })}`}>{label}</Link>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Pairs title="Metadata" pairs={job.metadata} link />
      <section aria-labelledby="command">
        <h2 id="command">
          Command
          <CopyButton text={() => commandLine(job.command)} label="Copy the command" />
        </h2>
        <pre className={styles.command}>{commandLine(job.command)}</pre>
      </section>
      <Pairs title="Environment" pairs={job.env} />
    </>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Pairs(props: { title: string; pairs: Record<string, string>; link?: boolean }) {
  const pairs = Object.entries(props.pairs);
  if (pairs.length === 0) return null;
  return (
    <section aria-label={props.title}>
      <h2>{props.title}</h2>
      <dl className={`${styles.facts} ${styles.pairs}`}>
        {pairs.map(([key, value]) => (
          <Row key={key} name={key}>
            {props.link ? (
              <Link to={`/jobs?${new URLSearchParams({ metadata: `${key}=${value}` })}`}>
                {value}
              </Link>
            ) : (
              value
            )}
          </Row>
        ))}
      </dl>
    </section>
  );
}
