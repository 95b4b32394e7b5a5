import { useEffect, useState } from 'react';
import { Icon } from './icons.tsx';

interface Props {
  text: () => string;
  label: string; // what it copies
  children?: string; // the words on it, if any
}

export function CopyButton({ text, label, children }: Props) {
  const [state, setState] = useState<'idle' | 'copied' | 'refused'>('idle');
  useEffect(() => {
    if (state === 'idle') return;
    const timer = setTimeout(() => setState('idle'), 1600);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () =>
    copyText(text()).then(
      () => setState('copied'),
      () => setState('refused'),
    );
  const words = { idle: children, copied: 'Copied', refused: 'Copying was refused' }[state];
  return (
    <button
      type="button"
      className={`button small quiet${children ? '' : ' icon'}`}
      aria-label={children ? undefined : state === 'idle' ? label : words}
      title={label}
      onClick={copy}
    >
      <Icon name={state === 'copied' ? 'check' : state === 'refused' ? 'warning' : 'copy'} />
      {children && words}
    </button>
  );
}

// The clipboard API exists on https and loopback only; a server on the local network is often neither.
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) throw new Error('copying was refused');
}
