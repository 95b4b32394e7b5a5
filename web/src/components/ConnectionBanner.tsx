import { useSyncExternalStore } from 'react';
import type { Feed } from '../api/feed.ts';
import styles from './ConnectionBanner.module.css';
import { Icon } from './icons.tsx';

export function ConnectionBanner({ feed }: { feed: Feed }) {
  const status = useSyncExternalStore(feed.subscribe, feed.status);
  if (status.state !== 'lost') return null;
  return (
    <div className={styles.banner} role="status">
      <Icon name="warning" />
      <span>
        <strong>The live connection is lost.</strong> {status.reason}. What you see may be old;
        trying again by itself.
      </span>
      <button type="button" className="button small" onClick={feed.reconnectNow}>
        Try now
      </button>
    </div>
  );
}
