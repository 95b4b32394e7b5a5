import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link, useParams, useSearchParams } from 'react-router';
import { isApiError } from '../api/client.ts';
import { repositoryQuery, repositoryTagsQuery } from '../api/storage.ts';
import type { Repository as Known } from '../api/types.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { Ago } from '../components/Time.tsx';
import { useTitle } from '../components/useTitle.ts';
import { bytes, count } from '../format.ts';
import { isMirrored, mirrored } from '../registry/kind.ts';
import { ManifestTable } from '../registry/ManifestTable.tsx';
import { pullCommand } from '../registry/pull.ts';
import styles from '../registry/Registry.module.css';
import { TagTable } from '../registry/TagTable.tsx';

export default function Repository() {
  const name = useParams()['*'] ?? '';
  useTitle(name);
  const repository = useQuery(repositoryQuery(name));
  if (repository.data) return <RepositoryPage repository={repository.data} />;
  if (repository.isPending) return <Loading what={name} />;
  if (isApiError(repository.error, 404)) {
    return (
      <EmptyState title={`There is no repository ${name}`} isPage>
        <p className="muted">It may belong to an organisation that your token does not cover.</p>
        <Link to="/registry" className="button">
          All repositories
        </Link>
      </EmptyState>
    );
  }
  return (
    <ErrorState
      error={repository.error}
      doing={`reading ${name}`}
      onRetry={() => repository.refetch()}
    />
  );
}

const TABS = ['tags', 'manifests'] as const;

function RepositoryPage({ repository }: { repository: Known }) {
  const [search, setSearch] = useSearchParams();
  const tab = search.get('tab') === 'manifests' ? 'manifests' : 'tags';
  const name = repository.repository;
  return (
    <div className="page">
      <p className={styles.path}>
        <Link to="/registry">Registry</Link> /
      </p>
      <h1 className={styles.name}>
        {isMirrored(name) ? mirrored(name).name : name}
        {isMirrored(name) && <span className={styles.mirror}>mirror {mirrored(name).mirror}</span>}
      </h1>
      <dl className={styles.facts}>
        <Fact name="Size">{bytes(repository.bytes)}</Fact>
        <Fact name="Created">
          <Ago at={repository.created_at} />
        </Fact>
        <Fact name="Last push">
          {repository.pushed_at ? <Ago at={repository.pushed_at} /> : 'never'}
        </Fact>
        <Fact name="Last pull">
          {repository.pulled_at ? <Ago at={repository.pulled_at} /> : 'never'}
        </Fact>
      </dl>
      {!isMirrored(name) && <Pull repository={name} />}
      <div className={styles.tabs}>
        {TABS.map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={tab === each}
            onClick={() => setSearch(each === 'tags' ? {} : { tab: each }, { replace: true })}
          >
            {each === 'tags' ? 'Tags ' : 'Manifests '}
            <span className="muted number">{count(repository[each])}</span>
          </button>
        ))}
      </div>
      {tab === 'tags' ? <TagTable repository={name} /> : <ManifestTable repository={name} />}
    </div>
  );
}

// Of the tag that was pushed last.
function Pull({ repository }: { repository: string }) {
  const newest = useInfiniteQuery(repositoryTagsQuery(repository)).data?.pages[0]?.items[0];
  if (!newest) return null;
  return <Command>{pullCommand(repository, newest.tag)}</Command>;
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
