import { type FormEvent, useEffect, useState } from 'react';
import type { CacheUsage } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import { count } from '../format.ts';
import styles from './Cache.module.css';
import { type EntryFilter, repoName, SORT_WORDS, SORTS, type Sort } from './filter.ts';

interface Props {
  filter: EntryFilter;
  repos: readonly CacheUsage[];
  onChange: (filter: EntryFilter) => void;
  shown: number;
  more: boolean;
}

export function EntryFilterBar({ filter, repos, onChange, shown, more }: Props) {
  const [key, setKey] = useState(filter.key);
  useEffect(() => setKey(filter.key), [filter.key]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onChange({ ...filter, key: key.trim() });
  };
  return (
    <div className={styles.bar}>
      <search>
        <form className={styles.search} onSubmit={submit}>
          <Icon name="search" className={styles.glass} />
          <input
            data-find
            className="field"
            type="search"
            aria-label="Keys that start with"
            placeholder="Keys that start with…"
            spellCheck={false}
            autoComplete="off"
            value={key}
            onChange={(event) => {
              setKey(event.target.value);
              // The browser's own cross empties the field without a submit.
              if (event.target.value === '' && filter.key) onChange({ ...filter, key: '' });
            }}
          />
        </form>
      </search>
      <RepoSelect filter={filter} repos={repos} onChange={onChange} />
      <select
        className="field"
        aria-label="Order"
        value={filter.sort}
        onChange={(event) => onChange({ ...filter, sort: event.target.value as Sort })}
      >
        {SORTS.map((sort) => (
          <option key={sort} value={sort}>
            {SORT_WORDS[sort]}
          </option>
        ))}
      </select>
      <span className={styles.count} role="status">
        {shown > 0 &&
          `${count(shown)}${more ? ' loaded, more below' : shown === 1 ? ' entry' : ' entries'}`}
      </span>
    </div>
  );
}

function RepoSelect({ filter, repos, onChange }: Pick<Props, 'filter' | 'repos' | 'onChange'>) {
  const chosen = filter.repo === null ? filter.org : `${filter.org}/${filter.repo}`;
  const choose = (value: string) => {
    const slash = value.indexOf('/');
    const org = slash < 0 ? value : value.slice(0, slash);
    onChange({ ...filter, org, repo: slash < 0 ? null : value.slice(slash + 1) });
  };
  const orgs = [...new Set(repos.map(({ org }) => org))];
  const known = repos.some(({ org, repo }) => org === filter.org && repo === filter.repo);
  return (
    <select
      className="field"
      aria-label="Repository"
      value={chosen}
      onChange={(event) => choose(event.target.value)}
    >
      <option value="">All repositories</option>
      {filter.org && filter.repo !== null && !known && (
        <option value={chosen}>{repoName(filter.org, filter.repo)}</option>
      )}
      {filter.org && filter.repo === null && !orgs.includes(filter.org) && (
        <option value={filter.org}>All of {filter.org}</option>
      )}
      {orgs.map((org) => (
        <optgroup key={org} label={org}>
          {orgs.length > 1 && <option value={org}>All of {org}</option>}
          {repos
            .filter((each) => each.org === org)
            .map(({ repo }) => (
              <option key={repo} value={`${org}/${repo}`}>
                {repo || 'The whole organisation’s'}
              </option>
            ))}
        </optgroup>
      ))}
    </select>
  );
}
