import type { KeyboardEvent } from 'react';
import type { JobDetail } from '../api/types.ts';
import { Icon } from '../components/icons.tsx';
import { count } from '../format.ts';
import { saveLog } from './download.ts';
import type { LogSnapshot } from './follow.ts';
import styles from './Log.module.css';
import type { LogViewOptions } from './preferences.ts';
import type { Found } from './useLogSearch.ts';

interface Props {
  job: JobDetail;
  log: LogSnapshot;
  fence: number | null;
  onFence: (fence: number | null) => void;
  text: string;
  onText: (text: string) => void;
  found: Found;
  onFind: (step: 1 | -1) => void;
  view: LogViewOptions;
  onView: (view: LogViewOptions) => void;
}

export function LogToolbar(props: Props) {
  const { job, log, fence, view, onView } = props;
  return (
    <div className={styles.toolbar}>
      <SearchBox {...props} />
      <div className={styles.tools}>
        {job.fence > 1 && (
          <select
            className={`field ${styles.executions}`}
            aria-label="Execution"
            value={fence ?? job.fence}
            onChange={(event) => {
              const chosen = Number(event.target.value);
              props.onFence(chosen === job.fence ? null : chosen);
            }}
          >
            {Array.from({ length: job.fence }, (_, index) => job.fence - index).map((each) => (
              <option key={each} value={each}>
                Execution {each}
                {each === job.fence ? ' (latest)' : ''}
              </option>
            ))}
          </select>
        )}
        <button
          type="button"
          className="button small quiet"
          aria-pressed={view.times}
          onClick={() => onView({ ...view, times: !view.times })}
        >
          <Icon name="clock" /> Times
        </button>
        <button
          type="button"
          className="button small quiet"
          aria-pressed={view.wrap}
          onClick={() => onView({ ...view, wrap: !view.wrap })}
        >
          <Icon name="wrap" /> Wrap
        </button>
        <button
          type="button"
          className="button small quiet"
          disabled={log.count === 0}
          onClick={() =>
            saveLog(log.buffer, `job-${job.id}-execution-${log.fence || job.fence}.log`)
          }
        >
          <Icon name="download" /> Download
        </button>
      </div>
    </div>
  );
}

function SearchBox({ text, onText, found, onFind }: Props) {
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.key === 'Enter') onFind(event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape' && text) onText('');
    else return;
    event.preventDefault();
  };
  const isSearching = found.needle !== '';
  const total = `${count(found.total)}${found.isCapped ? '+' : ''}`;
  return (
    <search className={styles.search}>
      <Icon name="search" className={styles.glass} />
      <input
        data-find
        className="field"
        aria-label="Search the log"
        placeholder="Search the log"
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <span className={styles.found} role="status">
        {isSearching &&
          (found.position > 0 ? `${count(found.position)} of ${total}` : `${total} found`)}
      </span>
      <button
        type="button"
        className="button small quiet icon"
        aria-label="Previous match"
        hidden={!isSearching}
        disabled={found.total === 0}
        onClick={() => onFind(-1)}
      >
        <Icon name="up" />
      </button>
      <button
        type="button"
        className="button small quiet icon"
        aria-label="Next match"
        hidden={!isSearching}
        disabled={found.total === 0}
        onClick={() => onFind(1)}
      >
        <Icon name="down" />
      </button>
    </search>
  );
}
