import type { JobDetail } from '../api/types.ts';
import { CopyButton } from '../components/CopyButton.tsx';
import { Icon } from '../components/icons.tsx';
import { count, plural } from '../format.ts';
import type { LogSnapshot } from './follow.ts';
import styles from './Log.module.css';
import { type Lines, linesHash } from './selection.ts';

interface Props {
  job: JobDetail;
  log: LogSnapshot;
  selected: Lines | null;
  onUnselect: () => void;
}

export function LogStatus({ job, log, selected, onUnselect }: Props) {
  const total = job.log.last_seq ?? 0;
  const behind = log.state !== 'ended' && total > log.buffer.lastSeq + 1000;
  return (
    <footer className={styles.status}>
      <span className={styles.state} data-state={log.state}>
        {words(log)}
      </span>
      <span className="number">
        {behind
          ? `reading ${count(log.buffer.lastSeq)} of ${count(total)} lines`
          : plural(log.buffer.lastSeq, 'line')}
      </span>
      {log.missing > 0 && (
        <span className={styles.missing}>{plural(log.missing, 'line')} never arrived</span>
      )}
      {selected && log.count > 0 && (
        <Selection job={job} log={log} lines={selected} onUnselect={onUnselect} />
      )}
    </footer>
  );
}

function words({ state, reason }: LogSnapshot): string {
  switch (state) {
    case 'loading':
      return 'connecting';
    case 'live':
      return 'live';
    case 'ended':
      return 'complete';
    case 'lost':
      return `${reason}; trying again`;
    case 'refused':
      return 'refused';
  }
}

function Selection(props: {
  job: JobDetail;
  log: LogSnapshot;
  lines: Lines;
  onUnselect: () => void;
}) {
  const { job, log, lines } = props;
  const name = lines.from === lines.to ? `Line ${lines.from}` : `Lines ${lines.from}–${lines.to}`;
  const text = () => {
    const { buffer } = log;
    return buffer.slice(
      Math.max(0, buffer.indexOfSeq(lines.from)),
      buffer.indexOfSeq(lines.to) + 1,
    );
  };
  const link = () => {
    const search = log.fence > 0 ? `?fence=${log.fence}` : '';
    return new URL(`/jobs/${job.id}${search}${linesHash(lines)}`, window.location.href).href;
  };
  return (
    <span className={styles.selection}>
      <strong>{name}</strong>
      <CopyButton text={text} label="Copy the selected lines">
        Copy text
      </CopyButton>
      <CopyButton text={link} label="Copy a link to the selected lines">
        Copy link
      </CopyButton>
      <button
        type="button"
        className="button small quiet icon"
        aria-label="Unselect"
        onClick={props.onUnselect}
      >
        <Icon name="close" />
      </button>
    </span>
  );
}
