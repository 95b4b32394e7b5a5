import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { post } from '../api/client.ts';
import { jobQuery } from '../api/queries.ts';
import { refusal, useSession } from '../api/session.ts';
import type { JobCreated, JobDetail } from '../api/types.ts';
import { ConfirmDialog } from '../components/ConfirmDialog.tsx';
import { Icon } from '../components/icons.tsx';
import styles from './JobHeader.module.css';

type Act = 'cancel' | 'rerun';

export function JobActions({ job }: { job: JobDetail }) {
  const [asking, setAsking] = useState<Act | null>(null);
  const session = useSession();
  const isFinal = job.finished_at !== null;
  const act: Act = isFinal ? 'rerun' : 'cancel';
  const why =
    refusal(session, 'operator', isFinal ? 'running a job again' : 'cancelling a job') ||
    (act === 'cancel' && job.cancel_requested ? 'The job is being cancelled.' : '');
  return (
    <div className={styles.actions}>
      <button
        type="button"
        className="button"
        aria-disabled={why !== ''}
        title={why || undefined}
        onClick={() => why === '' && setAsking(act)}
      >
        <Icon name={act === 'rerun' ? 'rerun' : 'close'} />
        {act === 'rerun' ? 'Run again' : 'Cancel job'}
      </button>
      {asking && <Ask act={asking} job={job} onClose={() => setAsking(null)} />}
    </div>
  );
}

function Ask({ act, job, onClose }: { act: Act; job: JobDetail; onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const mutation = useMutation({
    mutationFn: () => post<JobCreated | undefined>(`/api/v1/jobs/${job.id}/${act}`),
    onSuccess: (answer) => {
      onClose();
      void client.invalidateQueries({ queryKey: jobQuery(job.id).queryKey });
      if (act === 'rerun' && answer?.id) navigate(`/jobs/${answer.id}`);
    },
  });
  const words = {
    cancel: {
      title: `Cancel job ${job.id}?`,
      action: 'Cancel the job',
      body: 'Its microVM is destroyed within seconds. What it logged until then stays.',
    },
    rerun: {
      title: `Run job ${job.id} again?`,
      action: 'Run again',
      body: 'A new job with the same image, command, environment and resources is queued.',
    },
  }[act];
  return (
    <ConfirmDialog
      title={words.title}
      action={mutation.isPending ? 'One moment…' : words.action}
      danger={act === 'cancel'}
      busy={mutation.isPending}
      error={mutation.error?.message ?? ''}
      onConfirm={() => mutation.mutate()}
      onClose={onClose}
    >
      <p>{words.body}</p>
    </ConfirmDialog>
  );
}
