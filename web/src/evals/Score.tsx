import styles from './Evals.module.css';

// A score between 0 and 1 as a bar with its number; other scales as the number alone.
export function Score({ value }: { value: number | null }) {
  if (value === null) return <span className="muted">–</span>;
  const isUnit = value >= 0 && value <= 1;
  return (
    <span className={styles.score}>
      {isUnit && (
        <span className={styles.bar} aria-hidden="true">
          <span style={{ width: `${value * 100}%` }} />
        </span>
      )}
      {value.toFixed(2)}
    </span>
  );
}
