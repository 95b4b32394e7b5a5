import type { JobDetail } from '../api/types.ts';
import { StateBadge } from '../components/StateBadge.tsx';
import { absolute, Elapsed } from '../components/Time.tsx';
import styles from './Timeline.module.css';

// Every transition with its time, the time until the next, and the fence of its execution.
export function Timeline({ job }: { job: JobDetail }) {
  const steps = job.transitions;
  return (
    <section aria-labelledby="timeline">
      <h2 id="timeline">Timeline</h2>
      <ol className={styles.steps}>
        {steps.map((step, index) => {
          const next = steps[index + 1];
          const isLast = !next;
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: transitions are only ever added at the end
            <li key={index} className={styles.step}>
              <div className={styles.line}>
                <StateBadge state={step.state} plain past={!isLast} />
                {step.fence > 0 && (
                  <span className={styles.fence} title="The execution that this belongs to">
                    fence {step.fence}
                  </span>
                )}
                <time dateTime={step.at} title={absolute(step.at)} className={styles.at}>
                  {new Date(step.at).toLocaleTimeString(undefined, { hour12: false })}
                </time>
              </div>
              {step.reason && <p className={styles.reason}>{step.reason}</p>}
              {!(isLast && job.finished_at) && (
                <p className={styles.span}>
                  <Elapsed from={step.at} to={next?.at ?? null} />
                  {isLast && ' so far'}
                </p>
              )}
            </li>
          );
        })}
      </ol>
    </section>
  );
}
