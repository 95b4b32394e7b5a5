import type { ReactNode } from 'react';
import styles from './states.module.css';

interface Props {
  title: string;
  isPage?: boolean; // there is nothing else on the page
  children?: ReactNode;
}

// Nothing to show: says why, and what to do next.
export function EmptyState({ title, isPage = false, children }: Props) {
  const Heading = isPage ? 'h1' : 'h2';
  return (
    <div className={styles.state}>
      <Heading className={styles.title}>{title}</Heading>
      {children}
    </div>
  );
}
