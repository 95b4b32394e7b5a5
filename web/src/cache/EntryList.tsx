import { useCallback, useRef, useState } from 'react';
import { atLeast, useSession } from '../api/session.ts';
import type { CacheEntry } from '../api/types.ts';
import rows from '../components/rows.module.css';
import { VirtualList } from '../components/VirtualList.tsx';
import styles from './Cache.module.css';
import { DeleteEntry } from './DeleteEntry.tsx';
import { EntryDialog } from './EntryDialog.tsx';
import { EntryRow } from './EntryRow.tsx';

const ROW_HEIGHT = 50;
const idOf = (entry: CacheEntry): number => entry.id;

interface Props {
  label: string;
  entries: readonly CacheEntry[];
  hasMore: boolean;
  isLoadingMore: boolean;
  loadError: Error | null;
  onLoadMore: () => unknown;
  stale: boolean;
}

export function EntryList({ entries, ...list }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const [opened, setOpened] = useState<CacheEntry | null>(null);
  const [deleting, setDeleting] = useState<CacheEntry | null>(null);
  const mayDelete = atLeast(useSession(), 'operator');
  const onDelete = mayDelete ? setDeleting : undefined;
  const close = useCallback(() => setOpened(null), []);
  return (
    <>
      <VirtualList
        head={
          <div className={styles.columns} data-delete={mayDelete}>
            <span>Key</span>
            <span className={rows.end}>Size</span>
            <span className={rows.end}>Created</span>
            <span className={rows.end}>Last use</span>
          </div>
        }
        items={entries}
        idOf={idOf}
        indexOf={(id) => entries.findIndex((entry) => entry.id === id)}
        rowHeight={ROW_HEIGHT}
        row={(entry, place) => (
          <EntryRow
            key={entry.id}
            entry={entry}
            onOpen={setOpened}
            onDelete={onDelete}
            {...place}
          />
        )}
        scroller={scroller}
        {...list}
      />
      {opened && <EntryDialog entry={opened} onDelete={onDelete} onClose={close} />}
      {deleting && <DeleteEntry entry={deleting} onClose={() => setDeleting(null)} />}
    </>
  );
}
