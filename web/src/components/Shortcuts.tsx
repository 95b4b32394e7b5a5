import { useEffect, useRef, useState } from 'react';
import { useNavigate } from 'react-router';
import styles from './Dialog.module.css';

const PAGES: Record<string, string> = {
  j: '/jobs',
  e: '/evals',
  c: '/cache',
  r: '/registry',
  a: '/agents',
  h: '/health',
};

const HELP: [string[], string][] = [
  [['/'], 'Filter the list, search the log'],
  [['g', 'j'], 'Jobs'],
  [['g', 'e'], 'Evals'],
  [['g', 'c'], 'Cache'],
  [['g', 'r'], 'Registry'],
  [['g', 'a'], 'Agents'],
  [['g', 'h'], 'Health'],
  [['↑', '↓'], 'Previous and next row of a list'],
  [['Enter'], 'Open the row; next match while searching'],
  [['End'], 'Last line of the log, and follow it'],
  [['?'], 'This help'],
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

// Keys that work on every page. `/` focuses whatever the page marks with data-find.
export function Shortcuts() {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    let going = 0; // when `g` was pressed
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector('dialog[open]')) return;
      const page = PAGES[event.key];
      if (page && event.timeStamp - going < 1500) navigate(page);
      else if (event.key === '?') setOpen(true);
      else if (event.key === '/') document.querySelector<HTMLElement>('[data-find]')?.focus();
      else if (event.key !== 'g') return;
      going = event.key === 'g' ? event.timeStamp : 0;
      event.preventDefault();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate]);
  return open && <Help onClose={() => setOpen(false)} />;
}

function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className={styles.dialog} aria-labelledby="keys-title" onClose={onClose}>
      <h2 id="keys-title">Keyboard</h2>
      <dl className={`${styles.body} ${styles.keys}`}>
        {HELP.map(([keys, words]) => (
          <HelpRow key={words} keys={keys} words={words} />
        ))}
      </dl>
      <div className={styles.buttons}>
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
      </div>
    </dialog>
  );
}

function HelpRow({ keys, words }: { keys: string[]; words: string }) {
  return (
    <>
      <dt>
        {keys.map((key) => (
          <span key={key}>
            <kbd>{key}</kbd>{' '}
          </span>
        ))}
      </dt>
      <dd>{words}</dd>
    </>
  );
}
