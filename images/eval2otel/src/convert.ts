import { buildAttributes } from './attributes.ts';
import { collectContent } from './content.ts';
import { type ConversionConfig, type EvalResult, OPERATIONS, type SpanData } from './types.ts';

/** The one span that an evaluation becomes. Pure: the same input gives the same span. */
export function convertEvalResult(result: EvalResult, config: ConversionConfig = {}): SpanData {
  const content = collectContent(result, config);
  const explanation = config.captureContent ? result.evaluation?.explanation : undefined;
  const attributes = {
    ...buildAttributes(result, config),
    ...(explanation === undefined ? {} : content.explanation(explanation)),
  };
  return {
    name: OPERATIONS[result.operation],
    startMs: result.timestamp,
    endMs: result.timestamp + result.performance.duration * 1000,
    attributes: {
      ...attributes,
      'evalops.dropped_event_count': content.dropped,
      'evalops.redacted_content_count': content.redacted,
      'evalops.truncated_content_count': content.truncated,
    },
    events: content.events,
    ...(result.error ? { error: { ...result.error, message: safeMessage(result.error, config) } } : {}),
  };
}

/** An error's text may quote what was sent, so it obeys the same redaction. */
function safeMessage(error: { type: string; message: string }, config: ConversionConfig): string {
  const kept = config.redact ? config.redact(error.message) : error.message;
  return (kept ?? error.type).slice(0, 1024);
}

/** Redaction by pattern: each match is replaced. */
export function redactPattern(pattern: RegExp): (content: string) => string {
  const global = new RegExp(pattern.source, pattern.flags.includes('g') ? pattern.flags : `${pattern.flags}g`);
  return (content) => content.replace(global, '[REDACTED]');
}

/** The shapes of common credentials: what must not leave even when content is captured. */
export const SECRET_PATTERN =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bgh[opsu]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bxox[abpr]-[A-Za-z0-9-]{10,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/;
