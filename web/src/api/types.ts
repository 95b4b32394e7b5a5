// Made by scripts/api-types.mjs from src/api/openapi.json: run `npm run types`, do not edit.

export type JobState = 'queued' | 'leased' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost';

export type TextMap = Record<string, string>;

export interface Resources {
  cpus: number;
  memory_mb: number;
  disk_mb: number;
}

/** Where a job of GitHub's comes from. */
export interface GithubJob {
  job_id: number;
  run_id: number;
  run_attempt: number;
  installation_id: number | null;
  workflow_name: string | null;
  job_name: string | null;
  html_url: string | null;
}

export interface Transition {
  state: JobState;
  fence: number;
  at: string;
  reason: string;
}

/** One piece of work: a GitHub workflow_job or a native job. */
export interface Job {
  id: number;
  org: string;
  /** Without the owner. */
  repo: string;
  ref: string | null;
  sha: string | null;
  state: JobState;
  /** Why the job is where it is; empty when there is nothing to say. A job that waits for a limit or an approval begins with `held: `. */
  reason: string;
  profile: string | null;
  image: string;
  command: string[];
  labels: string[];
  metadata: TextMap;
  resources: Resources;
  timeout_s: number;
  /** The number of the latest execution; 0 before the first. */
  fence: number;
  tries: number;
  tries_max: number;
  agent: string | null;
  exit_code: number | null;
  cancel_requested: boolean;
  created_at: string;
  leased_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  log: {
    last_seq: number | null;
  };
  github: GithubJob | null;
  rerun_of: number | null;
}

/** A job with its environment and every transition. */
export interface JobDetail {
  id: number;
  org: string;
  /** Without the owner. */
  repo: string;
  ref: string | null;
  sha: string | null;
  state: JobState;
  /** Why the job is where it is; empty when there is nothing to say. A job that waits for a limit or an approval begins with `held: `. */
  reason: string;
  profile: string | null;
  image: string;
  command: string[];
  labels: string[];
  metadata: TextMap;
  resources: Resources;
  timeout_s: number;
  /** The number of the latest execution; 0 before the first. */
  fence: number;
  tries: number;
  tries_max: number;
  agent: string | null;
  exit_code: number | null;
  cancel_requested: boolean;
  created_at: string;
  leased_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  log: {
    last_seq: number | null;
  };
  github: GithubJob | null;
  rerun_of: number | null;
  env: TextMap;
  transitions: Transition[];
}

export interface JobList {
  items: Job[];
  next_cursor: string | null;
}

export interface NewJob {
  org: string;
  repo: string;
  ref?: string;
  sha?: string;
  /** An OCI reference: a name of at most 228 characters, registry included, with an optional :tag and @sha256: digest; or a digest alone. It must be on the agent that runs the job; where it is not, the job fails at once and its reason says how to get it. */
  image?: string;
  command: string[];
  /** Variables of the job, over those of the image and of Nimbus (HOME and PATH may be set). Names that begin with NIMBUS_ are refused. */
  env?: TextMap;
  timeout_s?: number;
  resources?: {
    cpus?: number;
    memory_mb?: number;
    disk_mb?: number;
  };
  labels?: string[];
  metadata?: TextMap;
  /** How often the job may be queued again after its host was lost. */
  retries?: number;
}

export interface JobCreated {
  id: number;
  state: JobState;
}

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  hint?: string;
  /** bad_request, not_found, …, or a documented one such as stale-fence. */
  code?: string;
}

export interface DeliveryAnswer {
  result: 'queued' | 'held' | 'updated' | 'ignored' | 'duplicate';
  job?: number;
}

export interface Delivery {
  id: number;
  guid: string;
  event: string;
  action: string | null;
  org: string | null;
  repo: string | null;
  result: 'queued' | 'held' | 'updated' | 'ignored';
  job: number | null;
  received_at: string;
}

export interface DeliveryList {
  items: Delivery[];
  next_cursor: string | null;
}

export interface JobSpec {
  org: string;
  repo: string;
  ref: string | null;
  sha: string | null;
  image: string;
  command: string[];
  env: TextMap;
  resources: Resources;
  timeout_s: number;
  attributes?: TextMap;
}

export interface Assignment {
  job: number;
  fence: number;
  expires_at: string;
  job_token: string;
  spec: JobSpec;
}

export interface AssignmentRequest {
  slots_free: number;
  wait_s: number;
  slots?: number;
  warm?: number;
  boot_id?: string;
  version?: string;
  vmm?: string;
  accel?: string;
  cgroup?: string;
  /** What new jobs may take together; absent: no bound. */
  cpus_free?: number;
  memory_mb_free?: number;
  disk_mb_free?: number;
  /** Every execution the agent still holds or has not yet reported to its end. */
  running?: {
    job: number;
    fence: number;
  }[];
}

export interface Assignments {
  assignments: Assignment[];
}

export interface LeaseRequest {
  fence: number;
}

export interface Lease {
  expires_at: string;
  /** The execution must be stopped now. */
  cancel: boolean;
  job_token: string;
}

export interface JobEvent {
  fence: number;
  seq: number;
  /** abandoned: the execution ended, and not by the job's doing (its VM was killed, the agent stopped). The job is queued again while it has tries left, else lost; a GitHub job that has started is always lost. */
  type: 'booting' | 'started' | 'finished' | 'abandoned';
  result?: 'succeeded' | 'failed' | 'timed_out' | 'cancelled';
  /** With finished. 0 or none with succeeded, any but 0 or none with failed; other pairs are refused (400). */
  exit_code?: number;
  reason?: string;
  /** With abandoned, before started: nothing of the job ran and the reason is not the job's (the agent stops), so the job is queued again and loses no try. */
  keeps_try?: boolean;
  /** With abandoned, before started: this agent has not got the job's image and cannot get it. The job is offered to the other agents that are online, to each once, and loses no try; when none is left it is failed with this reason. */
  lacks_image?: boolean;
  log_last_seq?: number;
  at?: string;
  /** How long ago it happened, when the report had to wait. The job's times of start and end follow it, not before the step that came before. */
  age_ms?: number;
}

export interface JobEventAnswer {
  state: JobState;
}

export interface Agent {
  id: string;
  name: string;
  state: 'online' | 'offline' | 'draining' | 'revoked';
  slots: number;
  slots_free: number;
  warm: number;
  version: string;
  vmm: string;
  accel: string;
  cgroup: string;
  enrolled_at: string;
  last_seen_at: string | null;
  jobs: number[];
}

export interface AgentList {
  items: Agent[];
  next_cursor: string | null;
}

export interface NewAgent {
  name: string;
  slots: number;
  version?: string;
  vmm?: string;
  accel?: string;
  cgroup?: string;
}

export interface AgentCredential {
  id: string;
  credential: string;
}

export interface Enrollment {
  token: string;
  expires_at: string;
}

export interface LogLine {
  ts: string;
  seq: number;
  stream: 'stdout' | 'stderr' | 'system';
  text: string;
  fence: number;
  /** The next line of the same stream continues this one. */
  partial?: boolean;
}

export interface FoundLine {
  ts: string;
  seq: number;
  stream: 'stdout' | 'stderr' | 'system' | 'otlp';
  text: string;
  fence?: number;
  partial?: boolean;
  org: string;
  repo: string;
  job: number;
  level?: 'debug' | 'info' | 'warn' | 'error';
}

export interface LogSearch {
  items: FoundLine[];
  next_cursor: string | null;
}

export interface LogVerdict {
  job: number;
  org: string;
  repo: string;
  state: JobState;
  fence: number;
  executions: LogExecution[];
}

export interface LogExecution {
  fence: number;
  lines: number;
  last_seq: number;
  /** What the agent said, once it has. */
  announced_last_seq: number | null;
  missing: number;
  /** The first 100, as first and last missing seq. */
  gaps: number[][];
}

export interface LogsAcked {
  acked: number;
}

export interface Token {
  id: string;
  name: string;
  role: 'viewer' | 'operator' | 'admin' | 'ingest';
  /** `*` for every org. */
  org: string;
  /** Ingest tokens of one repository. */
  repo?: string;
  created_at?: string;
  expires_at: string | null;
  last_used_at?: string | null;
}

export interface TokenList {
  items: Token[];
  next_cursor: string | null;
}

export interface NewToken {
  name: string;
  role: 'viewer' | 'operator' | 'admin' | 'ingest';
  org: string;
  repo?: string;
  expires_in_s?: number;
}

export interface TokenCreated {
  id: string;
  name: string;
  role: string;
  org: string;
  repo?: string;
  /** Shown once. */
  token: string;
  created_at?: string;
  expires_at: string | null;
  last_used_at?: string | null;
}

/** An org and what it may use. */
export interface Org {
  org: string;
  /** 0: no limit. */
  jobs_per_minute: number;
  /** 0: no limit. */
  concurrent_jobs: number;
  cache_bytes_max: number;
  registry_bytes_max: number;
  egress: 'default' | 'open';
  /** Which of these follow the installation's defaults. */
  defaults: string[];
  created_at: string;
}

/** What to set; null follows the installation's default again. */
export interface OrgSettings {
  /** 0: no limit. */
  jobs_per_minute?: number | null;
  /** 0: no limit. */
  concurrent_jobs?: number | null;
  cache_bytes_max?: number | null;
  registry_bytes_max?: number | null;
  egress?: 'default' | 'open' | null;
}

/** Who did what to whom. */
export interface AuditEntry {
  id: string;
  at: string;
  who: string;
  what: string;
  subject: string;
  org: string | null;
  detail: string;
}

export interface AuditList {
  items: AuditEntry[];
  next_cursor: string | null;
}

export interface Repository {
  /** ORG/NAME, or mirror:NAME/… of a mirrored one. */
  repository: string;
  org: string;
  tags: number;
  manifests: number;
  /** Distinct ones, manifests included. */
  blobs: number;
  /** Of those blobs. */
  bytes: number;
  created_at: string;
  pushed_at: string | null;
  pulled_at: string | null;
}

export interface Artifact {
  id: number;
  org: string;
  repo: string;
  /** GitHub's run id, or the number of a native job. */
  run: string;
  /** The number of the job that made it. */
  job: string;
  name: string;
  content_type: string;
  size_bytes: number;
  digest: string;
  created_at: string;
  expires_at: string;
}

export interface ArtifactList {
  items: Artifact[];
  next_cursor: string | null;
}

export interface ArtifactPurge {
  deleted: number;
  size_bytes: number;
}

export interface CacheEntry {
  id: number;
  org: string;
  /** Empty: the whole org's. */
  repo: string;
  kind: 'actions' | 'plain';
  /** The scope that it lies in. */
  ref: string;
  key: string;
  version: string;
  size_bytes: number;
  digest: string;
  created_at: string;
  last_used_at: string;
  writer: {
    by: string;
    repo: string;
    ref: string;
    event: string;
    trust: 'branch' | 'pull_request' | 'fork' | 'unproven' | 'native' | 'operator';
  };
}

export interface CacheEntryList {
  items: CacheEntry[];
  next_cursor: string | null;
}

export interface CacheUsageList {
  items: CacheUsage[];
  next_cursor: string | null;
}

export interface CacheUsage {
  org: string;
  repo: string;
  size_bytes: number;
  blobs: number;
  entries: number;
}

export interface CacheOrgUsage {
  org: string;
  size_bytes: number;
  blobs: number;
  /** The org's quota; null: none. */
  size_bytes_max: number | null;
  /** Each repository's quota; null: none. */
  repo_size_bytes_max: number | null;
}

export interface CacheOrgUsageList {
  items: CacheOrgUsage[];
  next_cursor: string | null;
}

export interface RepositoryTag {
  tag: string;
  digest: string;
  media_type: string;
  /** Empty: none. */
  artifact_type: string;
  /** As an index names them: an index's own, or the one it has this manifest for. Empty where no index says. */
  platforms: string[];
  /** The manifest and all that it leads to. */
  bytes: number;
  pushed_at: string;
  pulled_at: string | null;
}

export interface RepositoryTagList {
  items: RepositoryTag[];
  next_cursor: string | null;
}

export interface RepositoryManifest {
  digest: string;
  media_type: string;
  /** Empty: none. */
  artifact_type: string;
  /** As an index names them: an index's own, or the one it has this manifest for. Empty where no index says. */
  platforms: string[];
  /** The manifest and all that it leads to. */
  bytes: number;
  pushed_at: string;
  pulled_at: string | null;
  /** That point to it, at most 20. */
  tags: string[];
  /** The digest of the manifest that it describes. */
  subject: string | null;
}

export interface RepositoryManifestList {
  items: RepositoryManifest[];
  next_cursor: string | null;
}

export interface CachePurge {
  deleted: number;
  size_bytes: number;
}

export interface RepositoryList {
  items: Repository[];
  next_cursor: string | null;
}

export interface RepositoryUsage {
  org: string;
  bytes: number;
  blobs: number;
  /** The org's quota; null: none. */
  bytes_max: number | null;
  /** Each repository's quota; null: none. */
  repository_bytes_max: number | null;
}

export interface RepositoryUsageList {
  items: RepositoryUsage[];
  next_cursor: string | null;
}

export interface Purged {
  repository: string;
  tags: number;
  manifests: number;
  blobs: number;
}

export interface RegistryToken {
  token: string;
  access_token: string;
  /** Seconds. */
  expires_in: number;
  issued_at: string;
}

export interface RegistryErrors {
  errors: {
    code: string;
    message: string;
    detail?: Record<string, unknown>;
  }[];
}

export interface OrgList {
  items: Org[];
  next_cursor: string | null;
}

export interface Session {
  role: 'viewer' | 'operator' | 'admin';
  org: string;
  /** Value of the X-Nimbus-Csrf header on writes. */
  csrf: string;
}

export interface NewSession {
  token: string;
}

export interface EvalRun {
  job: number;
  org: string;
  repo: string;
  suite: string;
  run: string;
  cases: number;
  passed: number;
  score_mean: number | null;
  input_tokens: number;
  output_tokens: number;
  started_at: string;
  duration_s: number;
  models: string[];
}

export interface EvalCase {
  case: string;
  suite?: string;
  run?: string;
  /** Which metric; a case has one entry for each. */
  metric?: string;
  model: string;
  score: number | null;
  passed: boolean | null;
  label: string | null;
  input_tokens: number;
  output_tokens: number;
  duration_ms: number;
  error: string | null;
  trace_id: string | null;
  span_id: string | null;
}

export interface EvalRunDetail {
  job: number;
  org: string;
  repo: string;
  suite: string;
  run: string;
  cases: number;
  passed: number;
  score_mean: number | null;
  input_tokens: number;
  output_tokens: number;
  started_at: string;
  duration_s: number;
  models: string[];
  /** The execution that the results are of. */
  fence?: number;
  /** Every suite and run of the job; the fields above are the first one's. */
  runs?: EvalRun[];
  cases_detail: EvalCase[];
}

export interface EvalRunList {
  items: EvalRun[];
  next_cursor: string | null;
}

export interface HealthPart {
  status: 'ok' | 'starting' | 'degraded' | 'unavailable';
  detail?: string;
}

export interface Health {
  status: 'ready' | 'degraded' | 'unavailable';
  parts: Record<string, HealthPart>;
}
