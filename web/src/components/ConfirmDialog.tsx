import { type ReactNode, useEffect, useRef } from 'react';
import styles from './Dialog.module.css';

interface Props {
  title: string;
  action: string; // the words on the button that does it
  danger?: boolean;
  busy: boolean;
  error: string;
  onConfirm: () => void;
  onClose: () => void;
  children: ReactNode;
}

// The browser's own modal dialog: it keeps the focus inside, closes on Escape and gives the focus back.
export function ConfirmDialog(props: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={styles.dialog}
      aria-labelledby="dialog-title"
      onClose={props.onClose}
    >
      <h2 id="dialog-title">{props.title}</h2>
      <div className={styles.body}>{props.children}</div>
      {props.error && (
        <p role="alert" className={styles.error}>
          {props.error}
        </p>
      )}
      <div className={styles.buttons}>
        <button type="button" className="button" onClick={props.onClose}>
          Keep as it is
        </button>
        <button
          type="button"
          className={`button ${props.danger ? 'danger' : 'primary'}`}
          disabled={props.busy}
          onClick={props.onConfirm}
        >
          {props.action}
        </button>
      </div>
    </dialog>
  );
}
