import { useMutation, useQueryClient } from '@tanstack/react-query';
import { del, post } from '../api/client.ts';
import { agentsQuery } from '../api/queries.ts';
import type { Agent } from '../api/types.ts';
import { ConfirmDialog } from '../components/ConfirmDialog.tsx';
import { plural } from '../format.ts';

interface Props {
  act: 'drain' | 'revoke';
  agent: Agent;
  onClose: () => void;
}

export function AgentDialog({ act, agent, onClose }: Props) {
  const client = useQueryClient();
  const path = `/api/v1/agents/${encodeURIComponent(agent.id)}`;
  const mutation = useMutation({
    mutationFn: () => (act === 'drain' ? post<unknown>(`${path}/drain`) : del<unknown>(path)),
    onSuccess: () => {
      onClose();
      void client.invalidateQueries({ queryKey: agentsQuery.queryKey });
    },
  });
  const running = agent.jobs.length;
  return (
    <ConfirmDialog
      title={act === 'drain' ? `Drain ${agent.name}?` : `Revoke ${agent.name}?`}
      action={
        mutation.isPending
          ? 'One moment…'
          : act === 'drain'
            ? 'Drain the agent'
            : 'Revoke the agent'
      }
      danger={act === 'revoke'}
      busy={mutation.isPending}
      error={mutation.error?.message ?? ''}
      onConfirm={() => mutation.mutate()}
      onClose={onClose}
    >
      {act === 'drain' ? (
        <p>
          It takes no new jobs{running > 0 && `; its ${plural(running, 'job')} may end in peace`}.
        </p>
      ) : (
        <p>
          Its credential stops working at once
          {running > 0 && ` and its ${plural(running, 'lease')} end`}. To come back the host must
          enrol again.
        </p>
      )}
    </ConfirmDialog>
  );
}
