// The five shapes that eval2otel.v1 is tested by: what is redacted, capped and hashed, and what is counted.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { convertEvalResult } from '../src/convert.ts';
import { parseEvalResult } from '../src/validate.ts';

interface Fixture {
  name: string;
  config: { captureContent: boolean; contentMaxLength?: number; maxEventsPerSpan?: number; markTruncatedContent?: boolean };
  redact?: { pattern: string; to: string | null };
  evaluation: unknown;
  span: {
    name: string;
    attributes: Record<string, unknown>;
    events: { name: string; attributes: Record<string, unknown>; absent?: string[] }[];
    neverSent?: string[];
  };
}

const folder = path.join(import.meta.dirname, 'fixtures');

for (const file of readdirSync(folder).sort()) {
  const fixture: Fixture = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
  test(fixture.name, () => {
    const rule = fixture.redact;
    const redact = rule && ((content: string) => {
      const pattern = new RegExp(rule.pattern, 'g');
      if (!pattern.test(content)) return content;
      return rule.to === null ? null : content.replace(pattern, rule.to);
    });
    const span = convertEvalResult(parseEvalResult(fixture.evaluation), { ...fixture.config, redact });
    assert.equal(span.name, fixture.span.name);
    assert.partialDeepStrictEqual(span.attributes, fixture.span.attributes);
    assert.deepEqual(span.events.map((event) => event.name), fixture.span.events.map((event) => event.name));
    for (const [index, expected] of fixture.span.events.entries()) {
      const { attributes } = span.events[index];
      assert.partialDeepStrictEqual(attributes, expected.attributes);
      for (const name of expected.absent ?? []) assert.ok(!(name in attributes), `${name} must not be sent`);
    }
    for (const secret of fixture.span.neverSent ?? []) assert.ok(!JSON.stringify(span).includes(secret), `${secret} was sent`);
    assert.ok(!('gen_ai.system' in span.attributes));
  });
}
