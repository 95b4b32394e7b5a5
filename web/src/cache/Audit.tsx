import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { cacheAuditQuery } from '../api/storage.ts';
import type { CacheEntry } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import { count, plural } from '../format.ts';
import styles from './Cache.module.css';
import { EntryDialog } from './EntryDialog.tsx';
import { repoName } from './filter.ts';

// Whether jobs could read what somebody less trusted wrote. There must be nothing of the kind.
export function Audit() {
  const audit = useQuery(cacheAuditQuery);
  const [opened, setOpened] = useState<CacheEntry | null>(null);
  const found = audit.data?.items ?? [];
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Trust</h2>
      {audit.isPending && <p className="muted">Looking through the entries…</p>}
      {audit.isError && <p role="alert">{audit.error.message}</p>}
      {audit.data && found.length === 0 && (
        <div className={styles.audit} data-clean="true">
          <Icon name="check" />
          <p>No entry can be read by jobs of more trust than its writer.</p>
        </div>
      )}
      {found.length > 0 && (
        <div className={styles.audit} data-clean="false" role="alert">
          <Icon name="warning" />
          <p>
            {audit.data?.next_cursor
              ? `More than ${count(found.length)} entries`
              : plural(found.length, 'entry', 'entries')}{' '}
            can be read by jobs of more trust than the writer. Delete them, and look at the jobs
            that wrote them.
          </p>
          <ul>
            {found.map((entry) => (
              <li key={entry.id}>
                <button type="button" className={styles.open} onClick={() => setOpened(entry)}>
                  {repoName(entry.org, entry.repo)}: {entry.key}
                </button>
              </li>
            ))}
          </ul>
        </div>
      )}
      {opened && <EntryDialog entry={opened} onClose={() => setOpened(null)} />}
    </section>
  );
}
