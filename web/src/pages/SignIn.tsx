import { useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { ApiError, post } from '../api/client.ts';
import { sessionQuery } from '../api/queries.ts';
import type { Session } from '../api/types.ts';
import { Command } from '../components/Command.tsx';
import { ThemeButton } from '../components/ThemeButton.tsx';
import { useTitle } from '../components/useTitle.ts';
import styles from './SignIn.module.css';

// The token goes to the server once and is forgotten; what stays is a cookie that scripts cannot read.
export function SignIn() {
  useTitle('Sign in');
  const client = useQueryClient();
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const signIn = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const token = String(new FormData(form).get('token')).trim();
    if (!token) return setError('Paste a token first.');
    setBusy(true);
    setError('');
    try {
      const session = await post<Session>('/api/v1/session', { token });
      form.reset();
      client.setQueryData(sessionQuery.queryKey, session);
    } catch (refused) {
      setError(reason(refused));
      form.querySelector('input')?.focus();
      setBusy(false);
    }
  };
  return (
    <main className={styles.page}>
      <form className={`panel ${styles.form}`} onSubmit={signIn}>
        <div className={styles.brand}>
          <img src="/favicon.svg" width="30" height="30" alt="" />
          <h1>Sign in to Nimbus</h1>
        </div>
        <label className={styles.label} htmlFor="token">
          Token
        </label>
        <input
          id="token"
          name="token"
          className="field mono"
          type="password"
          autoComplete="off"
          spellCheck={false}
          placeholder="nbt_…"
          // biome-ignore lint/a11y/noAutofocus: the page is this one field
          autoFocus
          aria-invalid={error !== ''}
          aria-describedby="token-error token-help"
        />
        <p id="token-error" role="alert" className={styles.error}>
          {error}
        </p>
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <div id="token-help" className={styles.help}>
          <p>
            On the machine that runs Nimbus, the administrator's token is in the data directory:
          </p>
          <Command>cat nimbus-data/admin.token</Command>
          <p>For a colleague, or to look only:</p>
          <Command>nimbus token create --name maria --role viewer</Command>
        </div>
      </form>
      <div className={styles.corner}>
        <ThemeButton />
      </div>
    </main>
  );
}

function reason(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Signing in failed.';
  if (error.status === 401) return 'The server does not know this token, or it has expired.';
  if (error.status === 429) return 'Too many tries. Wait a minute and try again.';
  return [error.message, error.hint].filter(Boolean).join('. ');
}
