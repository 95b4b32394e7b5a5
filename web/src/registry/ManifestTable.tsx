import { useInfiniteQuery } from '@tanstack/react-query';
import { repositoryManifestsQuery } from '../api/storage.ts';
import type { RepositoryManifest } from '../api/types.ts';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { ShowMore } from '../components/ShowMore.tsx';
import { Ago } from '../components/Time.tsx';
import { bytes, shortDigest } from '../format.ts';
import { Digest } from './Digest.tsx';
import styles from './Registry.module.css';
import { What } from './What.tsx';

export function ManifestTable({ repository }: { repository: string }) {
  const manifests = useInfiniteQuery(repositoryManifestsQuery(repository));
  if (manifests.isPending) return <Loading what="the manifests" />;
  if (manifests.isError && !manifests.data) {
    return (
      <ErrorState
        error={manifests.error}
        doing="reading the manifests"
        onRetry={() => manifests.refetch()}
      />
    );
  }
  const rows = manifests.data.pages.flatMap((page) => page.items);
  if (rows.length === 0) return <EmptyState title="No manifests" />;
  return (
    <div className="panel spaced">
      <table className="table">
        <caption className="visually-hidden">Manifests, the newest push first</caption>
        <thead>
          <tr>
            <th scope="col">Digest</th>
            <th scope="col">Kind</th>
            <th scope="col">Tags</th>
            <th scope="col" className="end">
              Size
            </th>
            <th scope="col" className="end">
              Pushed
            </th>
            <th scope="col" className="end">
              Last pulled
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <ManifestRow key={row.digest} row={row} />
          ))}
        </tbody>
      </table>
      <ShowMore query={manifests} />
    </div>
  );
}

function ManifestRow({ row }: { row: RepositoryManifest }) {
  return (
    <tr>
      <td>
        <Digest digest={row.digest} />
      </td>
      <td>
        <What {...row} />
        {row.subject && (
          <div className={styles.platforms}>
            of <code title={row.subject}>{shortDigest(row.subject)}</code>
          </div>
        )}
      </td>
      <td>
        <span className={styles.tags}>
          {row.tags.map((tag) => (
            <code key={tag}>{tag}</code>
          ))}
        </span>
        {row.tags.length === 0 && <span className="muted">untagged</span>}
      </td>
      <td className={`end ${styles.nowrap}`}>{bytes(row.bytes)}</td>
      <td className={`end muted ${styles.nowrap}`}>
        <Ago at={row.pushed_at} />
      </td>
      <td className={`end muted ${styles.nowrap}`}>
        {row.pulled_at ? <Ago at={row.pulled_at} /> : 'never'}
      </td>
    </tr>
  );
}
