import { useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Link, NavLink, useLocation } from 'react-router';
import { announceSignedOut, del } from '../api/client.ts';
import { Feed } from '../api/feed.ts';
import { LiveAnswers } from '../api/live.ts';
import { useSession } from '../api/session.ts';
import { ConnectionBanner } from './ConnectionBanner.tsx';
import { Icon } from './icons.tsx';
import styles from './Layout.module.css';
import { Shortcuts } from './Shortcuts.tsx';
import { ThemeButton } from './ThemeButton.tsx';

const PAGES = [
  ['/jobs', 'Jobs'],
  ['/evals', 'Evals'],
  ['/cache', 'Cache'],
  ['/registry', 'Registry'],
  ['/agents', 'Agents'],
  ['/health', 'Health'],
] as const;

export function Layout({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [feed] = useState(() => {
    const answers = new LiveAnswers(client);
    return new Feed('/api/v1/events', answers.take, answers.catchUp);
  });
  useEffect(() => feed.start(), [feed]);
  return (
    <div className={styles.layout}>
      <a className={styles.skip} href="#main">
        Skip to the page
      </a>
      <header className={styles.bar}>
        <Link to="/jobs" className={styles.brand}>
          <img src="/favicon.svg" width="20" height="20" alt="" /> Nimbus
        </Link>
        <Pages />
        <Account />
      </header>
      <ConnectionBanner feed={feed} />
      <Main>{children}</Main>
      <Shortcuts />
    </div>
  );
}

function Pages() {
  const { pathname } = useLocation();
  const nav = useRef<HTMLElement>(null);
  // On a narrow screen not all of them fit.
  useEffect(() => {
    const element = nav.current;
    const current = element?.querySelector<HTMLElement>(`[href="/${pathname.split('/')[1]}"]`);
    if (!element || !current) return;
    element.scrollLeft = current.offsetLeft - (element.clientWidth - current.clientWidth) / 2;
  }, [pathname]);
  return (
    <nav ref={nav} aria-label="Pages" className={styles.nav}>
      {PAGES.map(([path, name]) => (
        <NavLink key={path} to={path}>
          {name}
        </NavLink>
      ))}
    </nav>
  );
}

// Takes the focus when another page opens, so that the next Tab starts there.
function Main({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const shown = useRef(pathname);
  useEffect(() => {
    if (shown.current === pathname) return;
    shown.current = pathname;
    main.current?.focus({ preventScroll: true });
    main.current?.scrollTo(0, 0);
  }, [pathname]);
  return (
    <main id="main" ref={main} tabIndex={-1} className={styles.main}>
      {children}
    </main>
  );
}

function Account() {
  const session = useSession();
  const signOut = () => del('/api/v1/session').finally(announceSignedOut);
  return (
    <div className={styles.account}>
      <span className={styles.who} title="Your token's role and organisation">
        {session.role} · {session.org === '*' ? 'all orgs' : session.org}
      </span>
      <ThemeButton />
      <button type="button" className="button small quiet" onClick={signOut}>
        <Icon name="signOut" />
        <span className={styles.signOut}>Sign out</span>
      </button>
    </div>
  );
}
