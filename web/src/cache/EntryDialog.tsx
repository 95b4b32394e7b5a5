import { type ReactNode, useEffect, useRef } from 'react';
import type { CacheEntry } from '../api/types.ts';
import { CopyButton } from '../components/CopyButton.tsx';
import dialogStyles from '../components/Dialog.module.css';
import { absolute } from '../components/Time.tsx';
import { bytes } from '../format.ts';
import styles from './Cache.module.css';
import { Trust, WrittenBy } from './EntryRow.tsx';
import { repoName } from './filter.ts';

interface Props {
  entry: CacheEntry;
  onDelete?: ((entry: CacheEntry) => void) | undefined;
  onClose: () => void;
}

// All that is known of an entry: where it lies, and who wrote it.
export function EntryDialog({ entry, onDelete, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const { writer } = entry;
  const remove = () => {
    dialog.current?.close();
    onDelete?.(entry);
  };
  return (
    <dialog
      ref={dialog}
      className={dialogStyles.dialog}
      aria-labelledby="entry-title"
      onClose={onClose}
    >
      <h2 id="entry-title">Cache entry</h2>
      <dl className={styles.facts}>
        <Fact name="Key">
          <code>{entry.key}</code>
          <CopyButton text={() => entry.key} label="Copy the key" />
        </Fact>
        <Fact name="Repository">{repoName(entry.org, entry.repo)}</Fact>
        <Fact name="Scope">
          <code>{entry.ref}</code>
        </Fact>
        <Fact name="Kind">{entry.kind === 'actions' ? 'actions/cache' : 'plain key'}</Fact>
        {entry.version && (
          <Fact name="Version">
            <code>{entry.version}</code>
          </Fact>
        )}
        <Fact name="Size">{bytes(entry.size_bytes)}</Fact>
        <Fact name="Digest">
          <code>{entry.digest}</code>
        </Fact>
        <Fact name="Created">{absolute(entry.created_at)}</Fact>
        <Fact name="Last use">{absolute(entry.last_used_at)}</Fact>
        <Fact name="Written by">
          <WrittenBy entry={entry} />
          {writer.ref && <> on {writer.ref}</>}
          {writer.event && <>, started by {writer.event}</>}
          <Trust trust={writer.trust} />
        </Fact>
      </dl>
      <div className={dialogStyles.buttons}>
        {onDelete && (
          <button type="button" className="button" onClick={remove}>
            Delete…
          </button>
        )}
        <button type="button" className="button primary" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}
