import { type InfiniteData, useMutation, useQueryClient } from '@tanstack/react-query';
import { del, isApiError } from '../api/client.ts';
import type { CacheEntry, CacheEntryList } from '../api/types.ts';
import { ConfirmDialog } from '../components/ConfirmDialog.tsx';
import { bytes } from '../format.ts';
import { repoName } from './filter.ts';

type Pages = InfiniteData<CacheEntryList, string | null>;

const without = (data: Pages, id: number): Pages => ({
  ...data,
  pages: data.pages.map((page) => ({
    ...page,
    items: page.items.filter((entry) => entry.id !== id),
  })),
});

export function DeleteEntry({ entry, onClose }: { entry: CacheEntry; onClose: () => void }) {
  const client = useQueryClient();
  const mutation = useMutation({
    // One that is gone already is what was wanted.
    mutationFn: () =>
      del<undefined>(`/api/v1/caches/${entry.id}`).catch((error) => {
        if (!isApiError(error, 404)) throw error;
      }),
    onSuccess: () => {
      // The loaded pages stay as they are, without it: reading them all again would move the reader.
      client.setQueriesData<Pages>({ queryKey: ['cache', 'entries'] }, (data) =>
        data ? without(data, entry.id) : data,
      );
      for (const part of ['orgs', 'repos', 'audit']) {
        void client.invalidateQueries({ queryKey: ['cache', part] });
      }
      onClose();
    },
  });
  return (
    <ConfirmDialog
      title="Delete this cache entry?"
      action={mutation.isPending ? 'One moment…' : 'Delete the entry'}
      danger
      busy={mutation.isPending}
      error={mutation.error?.message ?? ''}
      onConfirm={() => mutation.mutate()}
      onClose={onClose}
    >
      <p>
        <code>{entry.key}</code> of {repoName(entry.org, entry.repo)}, {bytes(entry.size_bytes)}.
      </p>
      <p>The next job that asks for it does its work anew.</p>
    </ConfirmDialog>
  );
}
