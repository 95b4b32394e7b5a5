import { QueryClientProvider, useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useState } from 'react';
import { BrowserRouter, Navigate, Route, Routes, useLocation } from 'react-router';
import { isApiError, onSignedOut, rememberCsrf } from './api/client.ts';
import { makeQueryClient, sessionQuery } from './api/queries.ts';
import { SessionContext } from './api/session.ts';
import { ErrorState } from './components/ErrorState.tsx';
import { Layout } from './components/Layout.tsx';
import { Loading } from './components/Loading.tsx';
import { PageBoundary } from './components/PageBoundary.tsx';
import { safeNext } from './next.ts';
import { Jobs } from './pages/Jobs.tsx';
import { NotFound } from './pages/NotFound.tsx';
import { SignIn } from './pages/SignIn.tsx';

const Job = lazy(() => import('./pages/Job.tsx'));
const Agents = lazy(() => import('./pages/Agents.tsx'));
const Evals = lazy(() => import('./pages/Evals.tsx'));
const Cache = lazy(() => import('./pages/Cache.tsx'));
const Registry = lazy(() => import('./pages/Registry.tsx'));
const Repository = lazy(() => import('./pages/Repository.tsx'));
const Health = lazy(() => import('./pages/Health.tsx'));

export function App() {
  const [client] = useState(makeQueryClient);
  useEffect(
    () =>
      onSignedOut(() => {
        rememberCsrf('');
        void client.resetQueries({ queryKey: sessionQuery.queryKey });
        client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'session' });
      }),
    [client],
  );
  return (
    <QueryClientProvider client={client}>
      <BrowserRouter>
        <Gate />
      </BrowserRouter>
    </QueryClientProvider>
  );
}

// Pages are for those who are signed in; the others are brought back to where they wanted to go.
function Gate() {
  const session = useQuery(sessionQuery);
  const location = useLocation();
  if (session.data) rememberCsrf(session.data.csrf);
  if (session.isPending) return <Loading what="Nimbus" />;
  if (!session.data && !isApiError(session.error, 401)) {
    return <ErrorState error={session.error} onRetry={() => session.refetch()} />;
  }
  const signedIn = session.data !== undefined;
  if (!signedIn && location.pathname !== '/sign-in') {
    const here = location.pathname + location.search + location.hash;
    const next = here === '/' ? '' : `?${new URLSearchParams({ next: here })}`;
    return <Navigate to={`/sign-in${next}`} replace />;
  }
  if (!session.data) return <SignIn />;
  return (
    <SessionContext value={session.data}>
      <Layout>
        <PageBoundary key={location.pathname}>
          <Suspense fallback={<Loading what="the page" />}>
            <Pages />
          </Suspense>
        </PageBoundary>
      </Layout>
    </SessionContext>
  );
}

function Pages() {
  return (
    <Routes>
      <Route path="/" element={<Navigate to="/jobs" replace />} />
      <Route path="/sign-in" element={<SignedIn />} />
      <Route path="/jobs" element={<Jobs />} />
      <Route path="/jobs/:id" element={<Job />} />
      <Route path="/agents" element={<Agents />} />
      <Route path="/evals" element={<Evals />} />
      <Route path="/cache" element={<Cache />} />
      <Route path="/registry" element={<Registry />} />
      <Route path="/registry/*" element={<Repository />} />
      <Route path="/health" element={<Health />} />
      <Route path="*" element={<NotFound />} />
    </Routes>
  );
}

function SignedIn() {
  const next = new URLSearchParams(useLocation().search).get('next');
  return <Navigate to={safeNext(next)} replace />;
}
