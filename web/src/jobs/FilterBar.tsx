import { type FormEvent, useEffect, useState } from 'react';
import { useNavigate } from 'react-router';
import type { JobState } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import { count, stateName } from '../format.ts';
import styles from './FilterBar.module.css';
import { filterText, JOB_STATES, type JobFilter, parseFilterText } from './filter.ts';

interface Props {
  filter: JobFilter;
  onChange: (filter: JobFilter) => void;
  shown: number;
  more: boolean;
}

export function FilterBar({ filter, onChange, shown, more }: Props) {
  const navigate = useNavigate();
  const canonical = filterText(filter);
  const [text, setText] = useState(canonical);
  const [complaint, setComplaint] = useState('');
  useEffect(() => setText(canonical), [canonical]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const number = /^#?(\d+)$/.exec(text.trim())?.[1];
    if (number) return navigate(`/jobs/${number}`);
    const [next, unknown] = parseFilterText(text, filter.states);
    const words = unknown.map((word) => `“${word}”`).join(', ');
    setComplaint(
      words &&
        `Not understood: ${words}. Write org/repo, repo:app, label:gpu, key=value or a job’s number`,
    );
    if (unknown.length === 0) onChange(next);
    return undefined;
  };
  const toggle = (state: JobState) => {
    const states = filter.states.includes(state)
      ? filter.states.filter((each) => each !== state)
      : JOB_STATES.filter((each) => each === state || filter.states.includes(each));
    onChange({ ...filter, states });
  };
  return (
    <div className={styles.bar}>
      <search>
        <form className={styles.search} onSubmit={submit}>
          <Icon name="search" className={styles.glass} />
          <input
            data-find
            className="field"
            aria-label="Filter the jobs"
            aria-describedby="filter-complaint"
            placeholder="acme/app  label:gpu  model=qwen  #42"
            spellCheck={false}
            autoComplete="off"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          {text !== '' && (
            <button
              type="button"
              className={`button small quiet icon ${styles.clear}`}
              aria-label="Clear the filter"
              onClick={() => {
                setText('');
                setComplaint('');
                onChange(parseFilterText('', filter.states)[0]);
              }}
            >
              <Icon name="close" />
            </button>
          )}
        </form>
      </search>
      <fieldset className={styles.states}>
        <legend className="visually-hidden">States</legend>
        {JOB_STATES.map((state) => (
          <button
            key={state}
            type="button"
            className="button small quiet"
            aria-pressed={filter.states.includes(state)}
            onClick={() => toggle(state)}
          >
            {stateName(state)}
          </button>
        ))}
      </fieldset>
      <span className={styles.count}>
        {shown > 0 &&
          `${count(shown)}${more ? ' loaded, more below' : shown === 1 ? ' job' : ' jobs'}`}
      </span>
      <p id="filter-complaint" role="alert" className={styles.complaint}>
        {complaint}
      </p>
    </div>
  );
}
