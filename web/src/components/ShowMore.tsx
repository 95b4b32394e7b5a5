import styles from './states.module.css';

interface Props {
  query: {
    hasNextPage: boolean;
    isFetchingNextPage: boolean;
    isFetchNextPageError: boolean;
    error: Error | null;
    fetchNextPage: () => unknown;
  };
}

// Under a table that comes in pages.
export function ShowMore({ query }: Props) {
  if (!query.hasNextPage) return null;
  return (
    <p className={styles.more}>
      {query.isFetchNextPageError && <span role="alert">{query.error?.message} </span>}
      <button
        type="button"
        className="button"
        disabled={query.isFetchingNextPage}
        onClick={() => query.fetchNextPage()}
      >
        {query.isFetchingNextPage ? 'One moment…' : 'Show more'}
      </button>
    </p>
  );
}
