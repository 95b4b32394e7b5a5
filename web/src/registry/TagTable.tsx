import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { atLeast, useSession } from '../api/session.ts';
import { repositoryTagsQuery } from '../api/storage.ts';
import type { RepositoryTag } from '../api/types.ts';
import { CopyButton } from '../components/CopyButton.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Icon } from '../components/icons.tsx';
import { Loading } from '../components/Loading.tsx';
import { ShowMore } from '../components/ShowMore.tsx';
import { Ago } from '../components/Time.tsx';
import { bytes } from '../format.ts';
import { DeleteTag } from './DeleteTag.tsx';
import { Digest } from './Digest.tsx';
import { isMirrored } from './kind.ts';
import { pullCommand } from './pull.ts';
import styles from './Registry.module.css';
import { What } from './What.tsx';

export function TagTable({ repository }: { repository: string }) {
  const tags = useInfiniteQuery(repositoryTagsQuery(repository));
  const [deleting, setDeleting] = useState('');
  const mayDelete = atLeast(useSession(), 'operator');
  if (tags.isPending) return <Loading what="the tags" />;
  if (tags.isError && !tags.data) {
    return (
      <ErrorState error={tags.error} doing="reading the tags" onRetry={() => tags.refetch()} />
    );
  }
  const rows = tags.data.pages.flatMap((page) => page.items);
  if (rows.length === 0) {
    return (
      <EmptyState title="No tags">
        <p className="muted">What is here can be pulled by its digest.</p>
      </EmptyState>
    );
  }
  return (
    <div className="panel spaced">
      <table className="table">
        <caption className="visually-hidden">Tags, the newest push first</caption>
        <thead>
          <tr>
            <th scope="col">Tag</th>
            <th scope="col">Digest</th>
            <th scope="col">Kind</th>
            <th scope="col" className="end">
              Size
            </th>
            <th scope="col" className="end">
              Pushed
            </th>
            <th scope="col" className="end">
              Last pulled
            </th>
            <th scope="col">
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <TagRow
              key={row.tag}
              repository={repository}
              row={row}
              onDelete={mayDelete ? setDeleting : undefined}
            />
          ))}
        </tbody>
      </table>
      <ShowMore query={tags} />
      {deleting && (
        <DeleteTag repository={repository} tag={deleting} onClose={() => setDeleting('')} />
      )}
    </div>
  );
}

interface RowProps {
  repository: string;
  row: RepositoryTag;
  onDelete: ((tag: string) => void) | undefined; // whoever may not has no button
}

function TagRow({ repository, row, onDelete }: RowProps) {
  return (
    <tr>
      <td>
        <code className={styles.tag}>{row.tag}</code>
      </td>
      <td>
        <Digest digest={row.digest} />
      </td>
      <td>
        <What {...row} />
      </td>
      <td className={`end ${styles.nowrap}`}>{bytes(row.bytes)}</td>
      <td className={`end muted ${styles.nowrap}`}>
        <Ago at={row.pushed_at} />
      </td>
      <td className={`end muted ${styles.nowrap}`}>
        {row.pulled_at ? <Ago at={row.pulled_at} /> : 'never'}
      </td>
      <td className={styles.actions}>
        {!isMirrored(repository) && (
          <CopyButton
            text={() => pullCommand(repository, row.tag)}
            label={`Copy the command that pulls ${row.tag}`}
          />
        )}
        {onDelete && (
          <button
            type="button"
            className={`button small quiet icon ${styles.remove}`}
            aria-label={`Delete the tag ${row.tag}`}
            title="Delete the tag"
            onClick={() => onDelete(row.tag)}
          >
            <Icon name="trash" />
          </button>
        )}
      </td>
    </tr>
  );
}
