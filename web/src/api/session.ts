import { createContext, use } from 'react';
import type { Session } from './types.ts';

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = use(SessionContext);
  if (!session) throw new Error('useSession outside of a signed-in page');
  return session;
}

const RANK = { viewer: 0, operator: 1, admin: 2 } as const;

export const atLeast = (session: Session, role: Session['role']): boolean =>
  RANK[session.role] >= RANK[role];

// Why an action is not offered, or '' when it is.
export function refusal(session: Session, role: Session['role'], act: string): string {
  if (atLeast(session, role)) return '';
  return `Your token has the role ${session.role}; ${act} takes the role ${role}.`;
}
