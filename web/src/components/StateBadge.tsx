import type { JobState } from '../api/types.ts';
import { stateName } from '../format.ts';
import { Icon } from './icons.tsx';
import styles from './StateBadge.module.css';

interface Props {
  state: JobState;
  plain?: boolean; // without the pill around it
  past?: boolean; // the job has left this state, so nothing turns any more
}

// A job's state by word, picture and colour, in this order of trust.
export function StateBadge({ state, plain = false, past = false }: Props) {
  const isTurning = state === 'running' && !past;
  return (
    <span className={plain ? styles.plain : styles.badge} data-state={state}>
      <Icon
        name={state === 'running' && past ? 'ran' : state}
        className={isTurning ? styles.turning : undefined}
      />
      {stateName(state)}
    </span>
  );
}
