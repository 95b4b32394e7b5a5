import { useMutation, useQueryClient } from '@tanstack/react-query';
import { del } from '../api/client.ts';
import { repositoryPath } from '../api/storage.ts';
import { ConfirmDialog } from '../components/ConfirmDialog.tsx';

interface Props {
  repository: string;
  tag: string;
  onClose: () => void;
}

export function DeleteTag({ repository, tag, onClose }: Props) {
  const client = useQueryClient();
  const mutation = useMutation({
    mutationFn: () => del<unknown>(`${repositoryPath(repository)}?${new URLSearchParams({ tag })}`),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ['registry'] });
      onClose();
    },
  });
  return (
    <ConfirmDialog
      title={`Delete the tag ${tag}?`}
      action={mutation.isPending ? 'One moment…' : 'Delete the tag'}
      danger
      busy={mutation.isPending}
      error={mutation.error?.message ?? ''}
      onConfirm={() => mutation.mutate()}
      onClose={onClose}
    >
      <p>
        Nobody can pull{' '}
        <code>
          {repository}:{tag}
        </code>{' '}
        any more. What it points to stays under its digest until nothing uses it.
      </p>
    </ConfirmDialog>
  );
}
