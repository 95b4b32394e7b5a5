import { ApiError } from '../api/client.ts';
import { Icon } from './icons.tsx';
import styles from './states.module.css';

interface Props {
  error: unknown;
  doing?: string; // "reading the jobs"
  onRetry?: (() => unknown) | undefined;
}

export function ErrorState({ error, doing, onRetry }: Props) {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof ApiError ? error.hint : '';
  return (
    <div className={styles.state} role="alert">
      <Icon name="warning" className={styles.warning} />
      <h2 className={styles.title}>
        {doing ? `Could not finish ${doing}` : 'Something went wrong'}
      </h2>
      <p>{message}</p>
      {hint && <p className="muted">{hint}</p>}
      {onRetry && (
        <button type="button" className="button" onClick={() => onRetry()}>
          Try again
        </button>
      )}
    </div>
  );
}
