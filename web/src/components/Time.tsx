import { ago, duration, secondsBetween } from '../format.ts';
import { useNow } from './now.ts';

export function absolute(at: string): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' });
}

export function Ago({ at }: { at: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={absolute(at)}>
      {ago(at, now)}
    </time>
  );
}

// From a time to another, or to now while the other has not come.
export function Elapsed({ from, to }: { from: string; to: string | null }) {
  return to ? <>{duration(secondsBetween(from, Date.parse(to)))}</> : <Running from={from} />;
}

function Running({ from }: { from: string }) {
  const seconds = Math.max(0, secondsBetween(from, useNow()));
  // Tenths would only flicker.
  return <>{seconds < 10 ? `${Math.floor(seconds)} s` : duration(seconds)}</>;
}
