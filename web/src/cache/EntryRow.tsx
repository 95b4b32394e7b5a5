import { memo } from 'react';
import { Link } from 'react-router';
import type { CacheEntry } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import rows from '../components/rows.module.css';
import { Ago } from '../components/Time.tsx';
import type { RowPlace } from '../components/VirtualList.tsx';
import { bytes, shortRef } from '../format.ts';
import styles from './Cache.module.css';
import { jobOf, repoName } from './filter.ts';

interface Props extends RowPlace {
  entry: CacheEntry;
  onOpen: (entry: CacheEntry) => void;
  onDelete: ((entry: CacheEntry) => void) | undefined; // whoever may not has no button
}

export const EntryRow = memo(function EntryRow(props: Props) {
  const { entry, isActive, onFocus, onOpen, onDelete } = props;
  return (
    <li
      className={`${styles.columns} ${rows.row}`}
      aria-posinset={props.position}
      aria-setsize={props.total}
      data-delete={onDelete !== undefined}
    >
      <span className={rows.what}>
        <span className={rows.line}>
          <button
            type="button"
            className={`${rows.link} ${styles.open}`}
            data-row={entry.id}
            tabIndex={isActive ? 0 : -1}
            onFocus={() => onFocus(entry.id)}
            onClick={() => onOpen(entry)}
          >
            {entry.key}
          </button>
        </span>
        <span className={`${rows.line} ${rows.sub}`}>
          {repoName(entry.org, entry.repo)} · {shortRef(entry.ref)}
          <Trust trust={entry.writer.trust} />
        </span>
      </span>
      <span className={rows.end}>{bytes(entry.size_bytes)}</span>
      <span className={`${rows.end} ${styles.created}`}>
        <Ago at={entry.created_at} />
        <span className={rows.sub}>
          <WrittenBy entry={entry} tabIndex={isActive ? 0 : -1} />
        </span>
      </span>
      <span className={`${rows.end} muted`}>
        <Ago at={entry.last_used_at} />
      </span>
      {onDelete && (
        <button
          type="button"
          className={`button small quiet icon ${styles.over} ${styles.remove}`}
          aria-label={`Delete ${entry.key}`}
          title="Delete the entry"
          tabIndex={isActive ? 0 : -1}
          onClick={() => onDelete(entry)}
        >
          <Icon name="trash" />
        </button>
      )}
    </li>
  );
});

// Of writers that others must be kept from reading.
export function Trust({ trust }: { trust: CacheEntry['writer']['trust'] }) {
  if (trust === 'branch' || trust === 'native' || trust === 'operator') return null;
  return <span className={styles.trust}>{trust.replace('_', ' ')}</span>;
}

export function WrittenBy({ entry, tabIndex }: { entry: CacheEntry; tabIndex?: number }) {
  const job = jobOf(entry.writer.by);
  if (job === null) return <>an operator</>;
  return (
    <Link to={`/jobs/${job}`} className={styles.over} {...(tabIndex !== undefined && { tabIndex })}>
      job {job}
    </Link>
  );
}
