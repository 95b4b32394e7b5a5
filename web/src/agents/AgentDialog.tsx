import { useMutation, useQueryClient } from '@tanstack/react-query';
import { del, post } from '../api/client.ts';
import { agentsQuery } from '../api/queries.ts';
import type { Agent } from '../api/types.ts';
import { ConfirmDialog } from '../components/ConfirmDialog.tsx';
import { plural } from '../format.ts';

export type AgentAct = 'drain' | 'resume' | 'revoke';
export const AGENT_ACTS = { drain: 'Drain', resume: 'Resume', revoke: 'Revoke' } as const;

interface Props {
  act: AgentAct;
  agent: Agent;
  onClose: () => void;
}

export function AgentDialog({ act, agent, onClose }: Props) {
  const client = useQueryClient();
  const path = `/api/v1/agents/${encodeURIComponent(agent.id)}`;
  const mutation = useMutation({
    mutationFn: () => (act === 'revoke' ? del<unknown>(path) : post<unknown>(`${path}/${act}`)),
    onSuccess: () => {
      onClose();
      void client.invalidateQueries({ queryKey: agentsQuery.queryKey });
    },
  });
  const running = agent.jobs.length;
  return (
    <ConfirmDialog
      title={`${AGENT_ACTS[act]} ${agent.name}?`}
      action={mutation.isPending ? 'One moment…' : `${AGENT_ACTS[act]} the agent`}
      danger={act === 'revoke'}
      busy={mutation.isPending}
      error={mutation.error?.message ?? ''}
      onConfirm={() => mutation.mutate()}
      onClose={onClose}
    >
      {act === 'drain' && (
        <p>
          It takes no new jobs{running > 0 && `; its ${plural(running, 'job')} may end in peace`}.
        </p>
      )}
      {act === 'resume' && <p>It takes new jobs again.</p>}
      {act === 'revoke' && (
        <p>
          Its credential stops working at once
          {running > 0 && `, and its ${plural(running, 'lease ends', 'leases end')}`}. To come back
          the host must enrol again.
        </p>
      )}
    </ConfirmDialog>
  );
}
