import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { cacheOrgsQuery, cacheReposQuery } from '../api/storage.ts';
import type { CacheOrgUsage, CacheUsage } from '../api/types.ts';
import { Meter } from '../components/Meter.tsx';
import { plural } from '../format.ts';
import styles from './Cache.module.css';
import { type EntryFilter, repoName, searchFromEntryFilter } from './filter.ts';

const REPOS_SHOWN = 30;

// What is used, against the quotas: of each org, and of its repositories, the largest first.
export function Usage({ filter }: { filter: EntryFilter }) {
  const orgs = useQuery(cacheOrgsQuery);
  const repos = useQuery(cacheReposQuery);
  const error = orgs.error ?? repos.error;
  const shown = (each: { org: string }) => !filter.org || each.org === filter.org.toLowerCase();
  return (
    <>
      <section aria-labelledby="usage">
        <h2 id="usage">Usage</h2>
        {error && <p role="alert">{error.message}</p>}
        <div className={styles.usage}>
          {orgs.data?.items.filter(shown).map((org) => (
            <div key={org.org} className={styles.org}>
              <span className={styles.name}>{org.org}</span>
              <Meter label={org.org} value={org.size_bytes} max={org.size_bytes_max} />
            </div>
          ))}
          {orgs.data?.items.length === 0 && <p className="muted">Nothing is stored.</p>}
        </div>
        <p className="muted">Caches and artifacts; the same bytes count once.</p>
      </section>
      {repos.data && repos.data.items.length > 0 && (
        <Repos
          repos={repos.data.items.filter(shown)}
          isWhole={repos.data.next_cursor === null}
          orgs={orgs.data?.items ?? []}
          filter={filter}
        />
      )}
    </>
  );
}

interface ReposProps {
  repos: CacheUsage[];
  isWhole: boolean;
  orgs: readonly CacheOrgUsage[];
  filter: EntryFilter;
}

function Repos({ repos, isWhole, orgs, filter }: ReposProps) {
  const sorted = repos.toSorted((a, b) => b.size_bytes - a.size_bytes);
  const largest = sorted[0]?.size_bytes ?? 0;
  const quotaOf = (org: string) =>
    orgs.find((each) => each.org === org)?.repo_size_bytes_max ?? null;
  const addressOf = ({ org, repo }: CacheUsage, isChosen: boolean) => {
    const next = isChosen ? { ...filter, org: '', repo: null } : { ...filter, org, repo };
    return `/cache?${searchFromEntryFilter(next)}`;
  };
  return (
    <section aria-labelledby="repos">
      <h2 id="repos">Repositories</h2>
      <ul className={styles.repos}>
        {sorted.slice(0, REPOS_SHOWN).map((each) => {
          const isChosen = each.org === filter.org && each.repo === filter.repo;
          const name = repoName(each.org, each.repo);
          return (
            <li key={name}>
              <Link
                to={addressOf(each, isChosen)}
                className={styles.repo}
                aria-current={isChosen ? 'true' : undefined}
              >
                <span className={styles.name}>{name}</span>
                <Meter
                  label={name}
                  value={each.size_bytes}
                  max={quotaOf(each.org)}
                  scale={largest}
                />
                <span className="muted">
                  {plural(each.entries, 'cache entry', 'cache entries')}
                </span>
              </Link>
            </li>
          );
        })}
      </ul>
      {sorted.length > REPOS_SHOWN && (
        <p className="muted">
          {isWhole ? '' : 'At least '}
          {plural(sorted.length - REPOS_SHOWN, 'smaller one')} not shown.
        </p>
      )}
    </section>
  );
}
