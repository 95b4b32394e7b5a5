import styles from './Command.module.css';
import { CopyButton } from './CopyButton.tsx';

// A command to type, ready to be copied.
export function Command({ children }: { children: string }) {
  return (
    <div className={styles.command}>
      <span aria-hidden="true" className="muted">
        $
      </span>
      <code>{children}</code>
      <CopyButton text={() => children} label="Copy the command" />
    </div>
  );
}
