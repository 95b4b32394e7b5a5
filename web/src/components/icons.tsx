// The few pictures of the page, drawn inline: 16 px, one stroke width, coloured by their surroundings.

const PATHS = {
  queued: 'M8 4.5V8l2.2 1.6M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  leased: 'M8 2a6 6 0 1 0 6 6M8 5.2A2.8 2.8 0 1 0 10.8 8M14 2 8 8',
  ran: 'M6.5 5.3v5.4L10.8 8zM14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  running: 'M14 8a6 6 0 0 1-6 6',
  succeeded: 'm5.2 8.3 2 2 3.8-4.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  failed: 'm5.8 5.8 4.4 4.4m0-4.4-4.4 4.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  cancelled: 'm3.8 3.8 8.4 8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  timed_out: 'M4.5 2h7M4.5 14h7M5 2c0 3.5 3 4 3 6s-3 2.5-3 6M11 2c0 3.5-3 4-3 6s3 2.5 3 6',
  lost: 'M6.3 6.2a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.9.7-.9 1.4M8 11.3v.1M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  close: 'm4 4 8 8m0-8-8 8',
  check: 'm3 8.5 3.2 3.2L13 4.8',
  trash: 'M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9M6.8 7v4M9.2 7v4',
  copy: 'M6 5.5h6.5V13H6zM3.5 10.5V3H10',
  download: 'M8 2.5v7.5m-3-3 3 3 3-3M3 13h10',
  up: 'm4 10 4-4 4 4',
  down: 'm4 6 4 4 4-4',
  bottom: 'M8 2.5v8m-3.2-3.2L8 10.5l3.2-3.2M3 13.5h10',
  wrap: 'M2.5 4h11M2.5 8h9a2 2 0 1 1 0 4H8m1.7-1.7L8 12l1.7 1.7M2.5 12h3',
  clock: 'M8 4.5V8l2.2 1.6M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  search: 'M11 11l3 3M12.3 7.2a5 5 0 1 1-10 0 5 5 0 0 1 10 0Z',
  external: 'M9.5 2.5h4v4M13.5 2.5 7.5 8.5M11.5 9.5v4h-9v-9h4',
  rerun: 'M13 8a5 5 0 1 1-1.5-3.6L13 5.8M13 2.5v3.3H9.7',
  sun: 'M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9M10.8 8a2.8 2.8 0 1 1-5.6 0 2.8 2.8 0 0 1 5.6 0Z',
  moon: 'M13.5 9.7A5.8 5.8 0 0 1 6.3 2.5a5.8 5.8 0 1 0 7.2 7.2Z',
  system: 'M2 3h12v8H2zM6 14h4M8 11v3',
  warning: 'M8 2.5 14.2 13H1.8zM8 6.5v3M8 11.3v.1',
  signOut: 'M6.5 2.5h-4v11h4M6 8h8m-2.8-2.8L14 8l-2.8 2.8',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, className }: { name: IconName; className?: string | undefined }) {
  return (
    <svg
      className={className}
      width="16"
      height="16"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
