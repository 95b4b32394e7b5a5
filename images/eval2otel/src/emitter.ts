/** Sends spans over OTLP/HTTP with OpenTelemetry's own SDK and exporters. */
import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import { convertEvalResult } from './convert.ts';
import type { Attributes, ConversionConfig, EvalResult, SpanData } from './types.ts';
import { parseEvalResult } from './validate.ts';

export type Protocol = 'http/protobuf' | 'http/json';
const FLUSH_LIMIT_MS = 5000;
/** A slow collector is tried for so long per request; the flush limit holds for all of them. */
const REQUEST_LIMIT_MS = 4000;
const QUEUE_MAX = 65536;

export interface EmitterConfig extends ConversionConfig {
  /** Default: OTEL_SERVICE_NAME, or `eval2otel`. */
  serviceName?: string;
  /** Base URL, `/v1/traces` is added. Default: OTEL_EXPORTER_OTLP_ENDPOINT and its like. */
  endpoint?: string;
  /** Default: OTEL_EXPORTER_OTLP_PROTOCOL, or http/protobuf. */
  protocol?: Protocol;
  resourceAttributes?: Attributes;
  /** W3C traceparent of what started this run. Default: TRACEPARENT. */
  traceparent?: string;
  /** Instead of OTLP, for tests. */
  exporter?: SpanExporter;
}

export interface FlushReport {
  sent: number;
  failed: number;
  /** Why, when some failed. */
  reason?: string;
}

/** Counts what arrived, since the SDK only logs. */
class CountingExporter implements SpanExporter {
  sent = 0;
  failed = 0;
  reason: string | undefined;
  private readonly inner: Promise<SpanExporter>;

  constructor(inner: Promise<SpanExporter>) {
    this.inner = inner;
    inner.catch(() => {}); // every export reports it
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    const finish = (result: ExportResult): void => {
      if (result.code === ExportResultCode.SUCCESS) this.sent += spans.length;
      else {
        this.failed += spans.length;
        this.reason = describe(result.error);
      }
      done(result);
    };
    this.inner.then((exporter) => exporter.export(spans, finish)).catch((error) => finish({ code: ExportResultCode.FAILED, error }));
  }

  async shutdown(): Promise<void> {
    await (await this.inner).shutdown();
  }
}

function describe(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0]);
  const { message, code, cause } = (error ?? {}) as { message?: string; code?: unknown; cause?: unknown };
  return message || (cause ? describe(cause) : String(code ?? 'unknown reason'));
}

/** The exporters are loaded only when they are used: each costs start-up time. */
async function openExporter(config: EmitterConfig): Promise<SpanExporter> {
  const protocol = config.protocol ?? process.env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? process.env.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf';
  const options = {
    timeoutMillis: REQUEST_LIMIT_MS,
    ...(config.endpoint ? { url: `${config.endpoint.replace(/\/+$/, '')}/v1/traces` } : {}),
  };
  if (protocol === 'http/json') return new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter(options);
  if (protocol === 'http/protobuf') return new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter(options);
  throw new Error(`protocol ${protocol} is not supported: use http/protobuf or http/json`);
}

/** The span above the evaluations of one run. */
export interface Run {
  context: Context;
  end(failed?: string): void;
}

export class Eval2Otel {
  private readonly exporter: CountingExporter;
  private readonly provider: BasicTracerProvider;
  private readonly parent: Context;
  private readonly config: EmitterConfig;

  constructor(config: EmitterConfig = {}) {
    this.config = config;
    this.exporter = new CountingExporter(config.exporter ? Promise.resolve(config.exporter) : openExporter(config));
    const resource = defaultResource()
      .merge(resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME ?? 'eval2otel' }))
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(resourceFromAttributes({ ...(config.serviceName ? { 'service.name': config.serviceName } : {}), ...config.resourceAttributes }));
    const batches = new BatchSpanProcessor(this.exporter, { maxQueueSize: QUEUE_MAX, exportTimeoutMillis: FLUSH_LIMIT_MS });
    this.provider = new BasicTracerProvider({ resource, spanProcessors: [batches] });
    const traceparent = config.traceparent ?? process.env.TRACEPARENT;
    const getter = { keys: () => ['traceparent'], get: () => traceparent };
    this.parent = traceparent ? new W3CTraceContextPropagator().extract(ROOT_CONTEXT, {}, getter) : ROOT_CONTEXT;
  }

  private get tracer() {
    return this.provider.getTracer('eval2otel');
  }

  /** A span that the evaluations of one run hang under, so that they share a trace. */
  startRun(name: string, attributes: Attributes = {}): Run {
    const span = this.tracer.startSpan(name, { kind: SpanKind.INTERNAL, attributes }, this.parent);
    const end = (failed?: string): void => {
      if (failed !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failed });
      span.end();
    };
    return { context: trace.setSpan(this.parent, span), end };
  }

  /** Converts and queues one evaluation. Throws InvalidEvalResult when it is none. */
  processEvaluation(result: EvalResult, options: { run?: Run; attributes?: Attributes } = {}): SpanData {
    const data = convertEvalResult(parseEvalResult(result), this.config);
    Object.assign(data.attributes, options.attributes);
    this.emit(data, options.run);
    return data;
  }

  emit(data: SpanData, run?: Run): void {
    const options = { kind: SpanKind.CLIENT, startTime: data.startMs, attributes: data.attributes };
    const span = this.tracer.startSpan(data.name, options, run?.context ?? this.parent);
    for (const event of data.events) span.addEvent(event.name, event.attributes, data.startMs);
    if (data.error) {
      span.recordException({ name: data.error.type, message: data.error.message }, data.endMs);
      span.setStatus({ code: SpanStatusCode.ERROR, message: data.error.message });
    }
    span.end(data.endMs);
  }

  /** Sends what is queued, for at most five seconds. Never throws: telemetry must not fail a run. */
  async shutdown(): Promise<FlushReport> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_LIMIT_MS);
    });
    const flushed = this.provider.shutdown().catch((error: unknown) => {
      this.exporter.reason ??= describe(error);
    });
    await Promise.race([flushed, limit]);
    clearTimeout(timer);
    const { sent, failed, reason } = this.exporter;
    return { sent, failed, ...(failed > 0 || reason ? { reason: reason ?? 'unknown reason' } : {}) };
  }
}

export const createEval2Otel = (config: EmitterConfig = {}): Eval2Otel => new Eval2Otel(config);
