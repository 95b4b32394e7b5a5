/** eval2otel-cli: results in a JSONL file as OpenTelemetry spans. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { convertEvalResult, redactPattern, SECRET_PATTERN } from './convert.ts';
import { createEval2Otel, type EmitterConfig, type Protocol } from './emitter.ts';
import { convertProviderPair, PROVIDER_MODES, type ProviderMode } from './providers.ts';
import type { EvalResult } from './types.ts';
import { InvalidEvalResult, parseEvalResult } from './validate.ts';

const LINE_LENGTH_MAX = 8 << 20;

const USAGE = `eval2otel-cli ingest --file results.jsonl

Sends each line, an evaluation or a provider's {request, response, startTime, endTime}, as one span.

  --file FILE             JSON lines; - is standard input
  --endpoint URL          OTLP/HTTP collector (default: OTEL_EXPORTER_OTLP_ENDPOINT, or localhost:4318)
  --protocol P            http/protobuf (default) or http/json
  --service-name NAME     (default: OTEL_SERVICE_NAME, or eval2otel-cli)
  --provider P            whose pairs the lines are: ${PROVIDER_MODES.join(', ')}
  --provider-override P   provider name to report
  --autodetect-strict     skip pairs of no known provider, even when they are evaluations otherwise
  --capture-content       send message texts too; without it none leaves this machine
  --sample-rate R         share of evaluations whose texts are captured, 0 to 1 (default 1)
  --content-cap N         characters kept of each text (default 4096)
  --redact-pattern RE     replaced in captured texts (default: the shapes of common credentials)
  --strict                exit 1 when a line was skipped
  --dry-run               print what would be sent

A collector that is away is reported, and fails nothing. Exit codes: 0 done, 1 failed, 2 wrong usage.`;

class UsageError extends Error {}

const OPTIONS = {
  file: { type: 'string', short: 'f' },
  endpoint: { type: 'string' },
  protocol: { type: 'string' },
  'service-name': { type: 'string' },
  provider: { type: 'string' },
  'provider-override': { type: 'string' },
  'autodetect-strict': { type: 'boolean' },
  'capture-content': { type: 'boolean' },
  'sample-rate': { type: 'string' },
  'content-cap': { type: 'string' },
  'redact-pattern': { type: 'string' },
  'with-exemplars': { type: 'boolean' },
  strict: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

function readOptions(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
type Values = ReturnType<typeof readOptions>['values'];

function numberOption(text: string | undefined, name: string, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max)) throw new UsageError(`--${name} is a number from ${min} to ${max}, not ${text}`);
  return value;
}

function emitterConfig(values: Values): EmitterConfig {
  const protocol = values.protocol;
  if (protocol !== undefined && protocol !== 'http/protobuf' && protocol !== 'http/json')
    throw new UsageError(`--protocol is http/protobuf or http/json, not ${protocol}`);
  if (values.provider !== undefined && !PROVIDER_MODES.includes(values.provider as ProviderMode))
    throw new UsageError(`--provider is one of ${PROVIDER_MODES.join(', ')}, not ${values.provider}`);
  let pattern = SECRET_PATTERN;
  try {
    if (values['redact-pattern'] !== undefined) pattern = new RegExp(values['redact-pattern']);
  } catch (error) {
    throw new UsageError(`--redact-pattern: ${(error as Error).message}`);
  }
  return {
    serviceName: values['service-name'] ?? process.env.OTEL_SERVICE_NAME ?? 'eval2otel-cli',
    endpoint: values.endpoint,
    protocol: protocol as Protocol | undefined,
    captureContent: values['capture-content'] ?? false,
    sampleContentRate: numberOption(values['sample-rate'], 'sample-rate', 0, 1),
    contentMaxLength: numberOption(values['content-cap'], 'content-cap', 1, 1 << 20),
    markTruncatedContent: true,
    redact: redactPattern(pattern),
  };
}

/** One line as an evaluation. Throws with the reason when it is none. */
function readLine(line: string, values: Values): EvalResult {
  const value = JSON.parse(line);
  const isPair = typeof value === 'object' && value !== null && value.response && value.operation === undefined;
  if (isPair) {
    const start = Number(value.startTime ?? Date.now());
    const end = value.endTime === undefined ? undefined : Number(value.endTime);
    const converted = convertProviderPair(value.request, value.response, start, end, values.provider as ProviderMode | undefined);
    if (converted) return finish(converted, values);
    if (values['autodetect-strict']) throw new InvalidEvalResult('the provider is not recognised (name it with --provider)');
  }
  return finish(value, values);
}

function finish(value: unknown, values: Values): EvalResult {
  const result = parseEvalResult(value);
  const override = values['provider-override'];
  return override === undefined ? result : { ...result, system: override, provider: { ...result.provider, name: override } };
}

class Ingest {
  /** By id: a later line of the same id replaces the earlier one. */
  private readonly results = new Map<string, { line: number; result: EvalResult }>();
  private skipped = 0;
  private duplicates = 0;
  private stopped = false;
  private readonly values: Values;

  constructor(values: Values) {
    this.values = values;
  }

  async read(file: string): Promise<void> {
    const input = file === '-' ? process.stdin : createReadStream(file);
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    const stop = (): void => {
      this.stopped = true;
      lines.close();
      input.destroy();
    };
    process.once('SIGTERM', stop).once('SIGINT', stop);
    let number = 0;
    try {
      for await (const line of lines) {
        number += 1;
        if (line.trim() !== '') this.add(line, number);
        if (this.stopped) break;
      }
    } catch (error) {
      if (!this.stopped) throw error;
    }
  }

  private add(line: string, number: number): void {
    try {
      if (line.length > LINE_LENGTH_MAX) throw new InvalidEvalResult('longer than 8 MiB');
      const result = readLine(line, this.values);
      const earlier = this.results.get(result.id);
      if (earlier) {
        this.duplicates += 1;
        console.error(`line ${number}: evaluation ${result.id} replaces the one of line ${earlier.line}`);
      }
      this.results.delete(result.id);
      this.results.set(result.id, { line: number, result });
    } catch (error) {
      this.skipped += 1;
      console.error(`line ${number}: skipped: ${(error as Error).message}`);
    }
  }

  async send(config: EmitterConfig): Promise<void> {
    if (this.values['dry-run']) {
      for (const { result } of this.results.values()) console.log(JSON.stringify(convertEvalResult(result, config)));
      return;
    }
    const emitter = createEval2Otel(config);
    for (const { result } of this.results.values()) emitter.processEvaluation(result);
    const report = await emitter.shutdown();
    const unsent = this.results.size - report.sent;
    if (unsent > 0) console.error(`${unsent} of ${this.results.size} spans did not reach the collector: ${report.reason ?? 'no answer within 5 s'}`);
  }

  summary(): string {
    const parts = [`${this.results.size} evaluations`];
    if (this.skipped > 0) parts.push(`${this.skipped} lines skipped`);
    if (this.duplicates > 0) parts.push(`${this.duplicates} duplicates replaced`);
    return parts.join(', ') + (this.values['dry-run'] ? ' (dry run)' : '');
  }

  exitCode(): number {
    if (this.stopped) return 143;
    return this.skipped > 0 && this.values.strict ? 1 : 0;
  }
}

async function main(): Promise<number> {
  const { values, positionals } = readOptions(process.argv.slice(2));
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const command = positionals[0] ?? 'ingest';
  if (command !== 'ingest') throw new UsageError(`no command ${command}: there is ingest`);
  const file = values.file;
  if (file === undefined) throw new UsageError('name the file: eval2otel-cli ingest --file results.jsonl');
  const config = emitterConfig(values);
  if (file !== '-' && !(await stat(file).catch(() => undefined))?.isFile()) throw new UsageError(`no file ${file}`);
  if (values['with-exemplars']) console.error('--with-exemplars has no effect: only spans are sent, no metrics');
  const ingest = new Ingest(values);
  await ingest.read(file);
  await ingest.send(config);
  console.error(ingest.summary());
  return ingest.exitCode();
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    console.error(error.message);
    if (error instanceof UsageError) console.error('hint: eval2otel-cli --help');
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
