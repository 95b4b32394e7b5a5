import type { ReactNode } from 'react';
import styles from './states.module.css';

// Nothing to show: says why, and what to do next.
export function EmptyState({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={styles.state}>
      <h2 className={styles.title}>{title}</h2>
      {children}
    </div>
  );
}
