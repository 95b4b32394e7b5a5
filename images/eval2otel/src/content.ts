import { sha256 } from './attributes.ts';
import type { Attributes, Content, ConversionConfig, EvalResult, SpanEvent, ToolCall } from './types.ts';

const CONTENT_LENGTH_MAX = 4096;
const EVENTS_MAX = 64;

/**
 * The span events that carry content. It counts what it withheld, so that a dashboard sees when a
 * redaction or a cap begins to bite.
 */
export class ContentEvents {
  readonly events: SpanEvent[] = [];
  redacted = 0;
  truncated = 0;
  dropped = 0;
  private readonly config: ConversionConfig;

  constructor(config: ConversionConfig) {
    this.config = config;
  }

  add(name: string, attributes: Attributes): void {
    if (this.events.length < (this.config.maxEventsPerSpan ?? EVENTS_MAX)) this.events.push({ name, attributes });
    else this.dropped += 1;
  }

  /** What may be sent of a text: the text, changed or cut, or null when only its hash may be. */
  private permitted(text: string): { text: string | null; cut: boolean } {
    const kept = this.config.redact ? this.config.redact(text) : text;
    if (kept !== text) this.redacted += 1;
    if (kept === null) return { text: null, cut: false };
    const limit = this.config.contentMaxLength ?? CONTENT_LENGTH_MAX;
    if (kept.length <= limit) return { text: kept, cut: false };
    this.truncated += 1;
    return { text: kept.slice(0, limit), cut: true };
  }

  contentAttributes(content: Content | undefined): Attributes {
    if (content === undefined || content === '') return {};
    const isText = typeof content === 'string';
    const whole = isText ? content : JSON.stringify(content);
    const { text, cut } = this.permitted(whole);
    if (text === null) return { 'evalops.content_sha256': sha256(whole) };
    const attributes: Attributes = {
      'gen_ai.message.content': text,
      'gen_ai.message.content_type': isText ? 'text' : 'json',
    };
    if (cut && this.config.markTruncatedContent) attributes['gen_ai.message.content_truncated'] = true;
    return attributes;
  }

  explanation(text: string): Attributes {
    const permitted = this.permitted(text).text;
    return permitted === null ? {} : { 'gen_ai.evaluation.explanation': permitted };
  }

  toolCall(call: ToolCall, choiceIndex: number): void {
    const whole = JSON.stringify(call.function.arguments ?? {});
    const { text, cut } = this.permitted(whole);
    this.add('gen_ai.tool.message', {
      'gen_ai.tool.name': call.function.name,
      'gen_ai.tool.call.id': call.id,
      'gen_ai.response.choice.index': choiceIndex,
      'gen_ai.tool.arguments': text ?? '{}',
      ...(cut && this.config.markTruncatedContent ? { 'gen_ai.tool.arguments_truncated': true } : {}),
    });
  }
}

function addConversation(events: ContentEvents, result: EvalResult): void {
  for (const [index, message] of (result.conversation?.messages ?? []).entries()) {
    events.add(`gen_ai.${message.role}.message`, {
      'gen_ai.message.role': message.role,
      'gen_ai.message.index': index,
      ...(message.toolCallId ? { 'gen_ai.tool.call.id': message.toolCallId } : {}),
      ...events.contentAttributes(message.content),
    });
  }
}

function addChoices(events: ContentEvents, result: EvalResult): void {
  for (const choice of result.response.choices ?? []) {
    for (const call of choice.message.toolCalls ?? []) events.toolCall(call, choice.index);
    events.add('gen_ai.assistant.message', {
      'gen_ai.message.role': choice.message.role,
      'gen_ai.response.choice.index': choice.index,
      'gen_ai.response.finish_reason': choice.finishReason,
      ...events.contentAttributes(choice.message.content),
    });
  }
}

function addSteps(events: ContentEvents, result: EvalResult): void {
  for (const [index, step] of (result.agent?.steps ?? []).entries()) {
    events.add('gen_ai.agent.step', {
      'gen_ai.agent.step.index': index,
      'gen_ai.agent.step.name': step.name,
      'gen_ai.agent.step.status': step.status,
      ...(step.type ? { 'gen_ai.agent.step.type': step.type } : {}),
      ...(step.duration === undefined ? {} : { 'gen_ai.agent.step.duration': step.duration }),
    });
  }
}

function addChunks(events: ContentEvents, result: EvalResult): void {
  for (const [index, chunk] of (result.rag?.chunks ?? []).entries()) {
    events.add('gen_ai.rag.chunk', {
      'gen_ai.rag.chunk.index': index,
      'gen_ai.rag.chunk.id': chunk.id,
      'gen_ai.rag.chunk.source': chunk.source,
      'gen_ai.rag.chunk.relevance_score': chunk.relevanceScore,
      'gen_ai.rag.chunk.position': chunk.position,
      ...(chunk.tokens === undefined ? {} : { 'gen_ai.rag.chunk.tokens': chunk.tokens }),
      ...(chunk.used === undefined ? {} : { 'gen_ai.rag.chunk.used': chunk.used }),
    });
  }
}

/** Decides by the id alone, so that a repeated ingest captures the same evaluations. */
function isSampled(id: string, rate: number): boolean {
  return rate >= 1 || (rate > 0 && Number.parseInt(sha256(id).slice(0, 8), 16) / 2 ** 32 < rate);
}

export function collectContent(result: EvalResult, config: ConversionConfig): ContentEvents {
  const events = new ContentEvents(config);
  if (!config.captureContent || !isSampled(result.id, config.sampleContentRate ?? 1)) return events;
  addConversation(events, result);
  addChoices(events, result);
  addSteps(events, result);
  addChunks(events, result);
  return events;
}
