import { Link } from 'react-router';
import { EmptyState } from '../components/EmptyState.tsx';
import { useTitle } from '../components/useTitle.ts';

export function NotFound() {
  useTitle('Not found');
  return (
    <EmptyState title="There is no such page" isPage>
      <p className="muted">The address may be mistyped, or from another version of Nimbus.</p>
      <Link className="button" to="/jobs">
        Go to the jobs
      </Link>
    </EmptyState>
  );
}
