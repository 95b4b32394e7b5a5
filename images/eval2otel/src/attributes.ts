import { createHash } from 'node:crypto';
import { type Attributes, type AttributeValue, CONTRACT_VERSION, type ConversionConfig, type EvalResult, SEMCONV_VERSION } from './types.ts';

const ATTRIBUTE_LENGTH_MAX = 4096;

const PROVIDERS: Record<string, string> = {
  'azure-openai': 'azure.openai',
  azure_openai: 'azure.openai',
  azure: 'azure.openai',
  bedrock: 'aws.bedrock',
  'aws-bedrock': 'aws.bedrock',
  vertex: 'google.vertex',
  vertexai: 'google.vertex',
  'google-vertex': 'google.vertex',
};

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export function normalizeProviderName(system: string | undefined): string {
  const name = (system ?? 'unknown').trim().toLowerCase();
  return PROVIDERS[name] ?? (name || 'unknown');
}

/** Sets only what is there, and never more than a bounded length. */
class Builder {
  readonly attributes: Attributes = {};

  set(name: string, value: AttributeValue | undefined | null): this {
    if (value === undefined || value === null) return this;
    if (typeof value === 'number' && !Number.isFinite(value)) return this;
    this.attributes[name] = typeof value === 'string' ? value.slice(0, ATTRIBUTE_LENGTH_MAX) : value;
    return this;
  }
}

function addRequestAndResponse(builder: Builder, result: EvalResult): void {
  const { request, response, usage, performance } = result;
  builder
    .set('gen_ai.request.model', request.model || result.model)
    .set('gen_ai.request.temperature', request.temperature)
    .set('gen_ai.request.max_tokens', request.maxTokens)
    .set('gen_ai.request.top_p', request.topP)
    .set('gen_ai.request.top_k', request.topK)
    .set('gen_ai.request.frequency_penalty', request.frequencyPenalty)
    .set('gen_ai.request.presence_penalty', request.presencePenalty)
    .set('gen_ai.request.stop_sequences', request.stopSequences)
    .set('gen_ai.request.seed', request.seed)
    .set('gen_ai.request.choice.count', request.choiceCount)
    .set('gen_ai.response.id', response.id)
    .set('gen_ai.response.model', response.model)
    .set('gen_ai.response.finish_reasons', response.finishReasons)
    .set('gen_ai.response.time_to_first_chunk', performance.timeToFirstToken)
    .set('gen_ai.usage.input_tokens', usage.inputTokens)
    .set('gen_ai.usage.output_tokens', usage.outputTokens);
}

function addSubjects(builder: Builder, { conversation, tool, agent, workflow }: EvalResult): void {
  builder
    .set('gen_ai.conversation.id', conversation?.id)
    .set('gen_ai.tool.name', tool?.name)
    .set('gen_ai.tool.description', tool?.description)
    .set('gen_ai.tool.call.id', tool?.callId)
    .set('gen_ai.agent.name', agent?.name)
    .set('gen_ai.agent.type', agent?.type)
    .set('gen_ai.agent.total_steps', agent?.steps?.length)
    .set('gen_ai.workflow.id', workflow?.id)
    .set('gen_ai.workflow.name', workflow?.name)
    .set('gen_ai.workflow.step', workflow?.step)
    .set('gen_ai.workflow.parent_id', workflow?.parentWorkflowId);
}

/** Ranking figures that the chunk list tells when the framework gave none. */
function derivedRagMetrics(rag: NonNullable<EvalResult['rag']>): Record<string, number> {
  const chunks = rag.chunks ?? [];
  if (chunks.length === 0) return {};
  const scores = chunks.map((chunk) => chunk.relevanceScore);
  const derived: Record<string, number> = {
    topKRelevanceMean: scores.reduce((sum, score) => sum + score, 0) / scores.length,
    topKRelevanceMin: Math.min(...scores),
  };
  if (chunks.some((chunk) => chunk.used !== undefined)) {
    const byPosition = [...chunks].sort((a, b) => a.position - b.position);
    const firstUsed = byPosition.findIndex((chunk) => chunk.used);
    derived.retrievalUsedRatio = chunks.filter((chunk) => chunk.used).length / chunks.length;
    derived.meanReciprocalRank = firstUsed < 0 ? 0 : 1 / (firstUsed + 1);
  }
  return derived;
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function addRag(builder: Builder, rag: EvalResult['rag']): void {
  if (!rag) return;
  builder
    .set('gen_ai.data_source.id', rag.dataSourceId)
    .set('gen_ai.rag.query_sha256', rag.query === undefined ? undefined : sha256(rag.query))
    .set('gen_ai.rag.retrieval_method', rag.retrievalMethod)
    .set('gen_ai.rag.documents_retrieved', rag.documentsRetrieved)
    .set('gen_ai.rag.documents_used', rag.documentsUsed);
  for (const [name, value] of Object.entries({ ...derivedRagMetrics(rag), ...rag.metrics }))
    if (typeof value === 'number') builder.set(`gen_ai.rag.${snakeCase(name)}`, value);
}

function addProvenance(builder: Builder, { provenance, evidence }: EvalResult): void {
  builder
    .set('evalops.source.framework', provenance?.sourceFramework)
    .set('evalops.run.id', provenance?.runId)
    .set('evalops.case.id', provenance?.caseId)
    .set('evalops.dataset.id', provenance?.datasetId)
    .set('evalops.dataset.version', provenance?.datasetVersion)
    .set('evalops.adapter.name', provenance?.adapter)
    .set('evalops.adapter.version', provenance?.adapterVersion)
    .set('evalops.raw_payload_sha256', evidence?.rawPayloadSha256)
    .set('evalops.prompt_sha256', evidence?.promptSha256)
    .set('evalops.response_sha256', evidence?.responseSha256);
}

function addEvaluation(builder: Builder, evaluation: EvalResult['evaluation']): void {
  builder
    .set('gen_ai.evaluation.name', evaluation?.name)
    .set('gen_ai.evaluation.score.value', evaluation?.score)
    .set('gen_ai.evaluation.score.label', evaluation?.label)
    .set('eval.metric.name', evaluation?.name)
    .set('eval.metric.type', evaluation?.metricType);
}

/** Everything about an evaluation that is not content. */
export function buildAttributes(result: EvalResult, config: ConversionConfig): Attributes {
  const builder = new Builder();
  const warnings = result.evidence?.warningCount ?? result.evidence?.warnings?.length ?? 0;
  builder
    .set('gen_ai.operation.name', result.operation)
    .set('gen_ai.provider.name', normalizeProviderName(result.provider?.name ?? result.system))
    .set('evalops.contract.version', CONTRACT_VERSION)
    .set('evalops.semconv.version', config.semconvGaVersion ?? SEMCONV_VERSION)
    .set('evalops.eval.id', result.id)
    .set('evalops.warning_count', warnings)
    .set('error.type', result.error?.type);
  addRequestAndResponse(builder, result);
  addSubjects(builder, result);
  addRag(builder, result.rag);
  addProvenance(builder, result);
  addEvaluation(builder, result.evaluation);
  for (const [name, value] of Object.entries(result.provider?.attributes ?? {})) builder.set(name, value);
  return builder.attributes;
}
