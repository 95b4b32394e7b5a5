import { CopyButton } from '../components/CopyButton.tsx';
import { shortDigest } from '../format.ts';
import styles from './Registry.module.css';

export function Digest({ digest }: { digest: string }) {
  return (
    <span className={styles.digest}>
      <code title={digest}>{shortDigest(digest)}</code>
      <CopyButton text={() => digest} label={`Copy the digest ${shortDigest(digest)}`} />
    </span>
  );
}
