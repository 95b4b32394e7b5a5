import styles from './states.module.css';

// Appears only when waiting takes long enough to be noticed (the delay is in the style sheet).
export function Loading({ what }: { what: string }) {
  return (
    <div className={styles.loading} role="status">
      <span className={styles.spinner} aria-hidden="true" />
      Loading {what}…
    </div>
  );
}
