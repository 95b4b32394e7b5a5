import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useSearchParams } from 'react-router';
import { registryOrgsQuery, repositoriesQuery } from '../api/storage.ts';
import type { Repository, RepositoryUsage } from '../api/types.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { Meter } from '../components/Meter.tsx';
import { OrgSelect } from '../components/OrgSelect.tsx';
import { ShowMore } from '../components/ShowMore.tsx';
import { Ago } from '../components/Time.tsx';
import { useTitle } from '../components/useTitle.ts';
import { bytes, count } from '../format.ts';
import { isMirrored, mirrored } from '../registry/kind.ts';
import styles from '../registry/Registry.module.css';

export default function Registry() {
  useTitle('Registry');
  const [search, setSearch] = useSearchParams();
  const org = search.get('org') ?? '';
  const list = useInfiniteQuery({
    ...repositoriesQuery(org),
    placeholderData: keepPreviousData,
  });
  const usage = useQuery(registryOrgsQuery);
  if (list.isPending) return <Loading what="the repositories" />;
  if (list.isError && !list.data) {
    return (
      <ErrorState
        error={list.error}
        doing="reading the repositories"
        onRetry={() => list.refetch()}
      />
    );
  }
  const repositories = list.data.pages.flatMap((page) => page.items);
  const orgs = usage.data?.items ?? [];
  return (
    <div className="page">
      <div className={styles.bar}>
        <h1>Registry</h1>
        <OrgSelect
          orgs={orgs.map((each) => each.org).filter((name) => !isMirrored(name))}
          value={org}
          onChange={(next) => setSearch(next ? { org: next } : {})}
        />
      </div>
      <Usage orgs={orgs.filter((each) => !org || each.org === org.toLowerCase())} />
      {usage.isError && <p role="alert">{usage.error.message}</p>}
      {repositories.length === 0 ? (
        <Nothing org={org} />
      ) : (
        <div className="panel spaced" aria-busy={list.isPlaceholderData}>
          <RepositoryTable repositories={repositories} />
          <ShowMore query={list} />
        </div>
      )}
    </div>
  );
}

function Usage({ orgs }: { orgs: readonly RepositoryUsage[] }) {
  if (orgs.length === 0) return null;
  return (
    <section className={`panel ${styles.orgs}`} aria-label="Usage">
      {orgs.map((each) => (
        <div key={each.org} className={styles.org}>
          <span className={styles.name}>
            {isMirrored(each.org) ? `Mirror ${mirrored(each.org).mirror}` : each.org}
          </span>
          <Meter label={each.org} value={each.bytes} max={each.bytes_max} />
        </div>
      ))}
    </section>
  );
}

function Nothing({ org }: { org: string }) {
  const { host } = window.location;
  return (
    <EmptyState title={org ? `${org} has no repository yet` : 'No repository yet'}>
      <p className="muted">
        Log in with a token as the password, and push. Inside of a job the registry is{' '}
        <code>gateway.nimbus</code> and needs no login.
      </p>
      <Command>{`docker login ${host}`}</Command>
      <Command>{`docker push ${host}/${org || 'ORG'}/app:1`}</Command>
    </EmptyState>
  );
}

function RepositoryTable({ repositories }: { repositories: Repository[] }) {
  return (
    <table className="table">
      <caption className="visually-hidden">Repositories, by name</caption>
      <thead>
        <tr>
          <th scope="col">Repository</th>
          <th scope="col" className="end">
            Tags
          </th>
          <th scope="col" className="end">
            Size
          </th>
          <th scope="col" className="end">
            Last push
          </th>
          <th scope="col" className="end">
            Last pull
          </th>
        </tr>
      </thead>
      <tbody>
        {repositories.map((each) => (
          <tr key={each.repository}>
            <td>
              <Name repository={each.repository} />
            </td>
            <td className="end">{count(each.tags)}</td>
            <td className={`end ${styles.nowrap}`}>{bytes(each.bytes)}</td>
            <td className={`end muted ${styles.nowrap}`}>
              {each.pushed_at ? <Ago at={each.pushed_at} /> : 'never'}
            </td>
            <td className={`end muted ${styles.nowrap}`}>
              {each.pulled_at ? <Ago at={each.pulled_at} /> : 'never'}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Name({ repository }: { repository: string }) {
  const mirror = isMirrored(repository) ? mirrored(repository) : null;
  return (
    <>
      <Link to={`/registry/${repository}`} className={styles.name}>
        {mirror ? mirror.name : repository}
      </Link>
      {mirror && <span className={styles.mirror}>mirror {mirror.mirror}</span>}
    </>
  );
}
