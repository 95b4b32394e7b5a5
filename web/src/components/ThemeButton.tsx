import { useState } from 'react';
import { readTheme, saveTheme, type Theme } from '../theme.ts';
import { Icon } from './icons.tsx';

const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const ICON = { system: 'system', light: 'sun', dark: 'moon' } as const;

export function ThemeButton() {
  const [theme, setTheme] = useState(readTheme);
  const change = () => {
    saveTheme(NEXT[theme]);
    setTheme(NEXT[theme]);
  };
  const label = `Colours: ${theme}. Change to ${NEXT[theme]}`;
  return (
    <button
      type="button"
      className="button small quiet icon"
      aria-label={label}
      title={label}
      onClick={change}
    >
      <Icon name={ICON[theme]} />
    </button>
  );
}
