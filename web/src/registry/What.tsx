import type { RepositoryTag } from '../api/types.ts';
import { kindOf } from './kind.ts';
import styles from './Registry.module.css';

type Props = Pick<RepositoryTag, 'media_type' | 'artifact_type' | 'platforms'>;

// Image, index or artifact, and for which platforms.
export function What({ platforms, ...what }: Props) {
  return (
    <>
      <span className={styles.kind} title={what.media_type}>
        {kindOf(what)}
      </span>
      {platforms.length > 0 && <div className={styles.platforms}>{platforms.join(', ')}</div>}
    </>
  );
}
