import { bytes } from '../format.ts';
import styles from './Meter.module.css';

interface Props {
  label: string; // of what: "acme", "acme/app"
  value: number; // bytes
  max: number | null; // the quota; null: none
  scale?: number; // how long the bar is without a quota, beside others
}

const NEARLY_FULL = 0.9;

// Bytes against their quota. Without one there is no bar, unless others give it a scale.
export function Meter({ label, value, max, scale }: Props) {
  const full = max ?? scale ?? 0;
  const words = max === null ? bytes(value) : `${bytes(value)} of ${bytes(max)}`;
  return (
    <span className={styles.meter}>
      <span className={styles.words}>{words}</span>
      {full > 0 && (
        <meter
          className={styles.bar}
          aria-label={label}
          aria-valuetext={words}
          min={0}
          max={full}
          value={Math.min(value, full)}
          data-full={max !== null && value >= max * NEARLY_FULL}
        />
      )}
    </span>
  );
}
