/** What an evaluation is, and how its conversion is tuned. The words are those of eval2otel.v1. */

export const CONTRACT_VERSION = 'eval2otel.v1';
/** The release of the OpenTelemetry GenAI conventions that the attribute names follow. */
export const SEMCONV_VERSION = '1.37.0';

export const OPERATIONS = {
  chat: 'gen_ai.chat',
  text_completion: 'gen_ai.chat',
  embeddings: 'gen_ai.embeddings',
  execute_tool: 'gen_ai.execute_tool',
  agent_execution: 'gen_ai.agent',
  workflow_step: 'gen_ai.workflow',
} as const;
export type Operation = keyof typeof OPERATIONS;

export type Content = string | Record<string, unknown>;

export interface ToolCall {
  id: string;
  type: string;
  function: { name: string; arguments?: Record<string, unknown> };
}

export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content?: Content;
  toolCallId?: string;
  toolCalls?: ToolCall[];
}

export interface Choice {
  index: number;
  finishReason: string;
  message: { role: string; content?: Content; toolCalls?: ToolCall[] };
}

export interface Warning {
  code: string;
  message: string;
  severity?: string;
}

export interface RagChunk {
  id: string;
  source: string;
  relevanceScore: number;
  position: number;
  tokens?: number;
  used?: boolean;
}

/** One score of one case; a suite may give several per evaluation, each as a span of its own. */
export interface Evaluation {
  name: string;
  score?: number;
  label?: string;
  /** May quote the answer, so it is sent only when content capture is on. */
  explanation?: string;
  metricType?: string;
}

export interface EvalResult {
  id: string;
  /** Milliseconds since the epoch. */
  timestamp: number;
  model: string;
  system?: string;
  operation: Operation;
  request: {
    model: string;
    temperature?: number;
    maxTokens?: number;
    topP?: number;
    topK?: number;
    frequencyPenalty?: number;
    presencePenalty?: number;
    stopSequences?: string[];
    seed?: number;
    choiceCount?: number;
  };
  response: { id?: string; model?: string; finishReasons?: string[]; choices?: Choice[] };
  usage: { inputTokens?: number; outputTokens?: number; totalTokens?: number };
  /** Seconds. */
  performance: { duration: number; timeToFirstToken?: number; timePerOutputToken?: number };
  error?: { type: string; message: string };
  conversation?: { id: string; messages: Message[] };
  tool?: { name: string; description?: string; callId?: string; result?: Record<string, unknown> };
  agent?: {
    name: string;
    type?: string;
    steps?: { name: string; type?: string; status: string; duration?: number; error?: string }[];
  };
  workflow?: { id: string; name?: string; step?: string; totalSteps?: number; parentWorkflowId?: string };
  rag?: {
    query?: string;
    dataSourceId?: string;
    retrievalMethod?: string;
    documentsRetrieved?: number;
    documentsUsed?: number;
    chunks?: RagChunk[];
    metrics?: Record<string, number>;
  };
  provider?: { name?: string; attributes?: Record<string, AttributeValue> };
  provenance?: {
    sourceFramework?: string;
    runId?: string;
    caseId?: string;
    datasetId?: string;
    datasetVersion?: string;
    adapter?: string;
    adapterVersion?: string;
  };
  evidence?: {
    rawPayloadSha256?: string;
    promptSha256?: string;
    responseSha256?: string;
    warningCount?: number;
    warnings?: Warning[];
  };
  evaluation?: Evaluation;
}

export type AttributeValue = string | number | boolean | string[];
export type Attributes = Record<string, AttributeValue>;

/** Returns the text to send, or null when none of it may be: a hash is sent in its place. */
export type Redact = (content: string) => string | null;

export interface ConversionConfig {
  /** Message texts, tool arguments and explanations leave the machine only when this is true. */
  captureContent?: boolean;
  /** Share of evaluations whose content is captured, chosen by the evaluation's id; default 1. */
  sampleContentRate?: number;
  /** Characters kept of each captured text; default 4096. */
  contentMaxLength?: number;
  markTruncatedContent?: boolean;
  redact?: Redact;
  /** Span events kept per evaluation; default 64. */
  maxEventsPerSpan?: number;
  /** Overrides the version reported as evalops.semconv.version. */
  semconvGaVersion?: string;
}

export interface SpanEvent {
  name: string;
  attributes: Attributes;
}

/** A finished span, independent of any SDK. */
export interface SpanData {
  name: string;
  startMs: number;
  endMs: number;
  attributes: Attributes;
  events: SpanEvent[];
  error?: { type: string; message: string };
}
