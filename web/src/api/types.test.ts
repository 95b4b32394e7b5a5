import assert from 'node:assert/strict';
import { test } from 'node:test';
import { committed, generate, generated } from '../../scripts/api-types.mjs';

test('the committed types are those of the server’s description (npm run types writes them)', () => {
  assert.equal(committed(), generated());
});

test('schemas become types', () => {
  const text = generate({
    components: {
      schemas: {
        Thing: {
          type: 'object',
          description: 'A thing.',
          required: ['id', 'tags'],
          properties: {
            id: { type: 'integer' },
            name: { type: ['string', 'null'], description: 'What it is called.' },
            tags: { type: 'array', items: { enum: ['a', "b'"] } },
            'odd-name': { $ref: '#/components/schemas/Map' },
          },
        },
        Map: { type: 'object', additionalProperties: { type: 'number' } },
      },
    },
  });
  assert.match(text, /\/\*\* A thing\. \*\/\nexport interface Thing \{\n {2}id: number;\n/);
  assert.match(text, /\/\*\* What it is called\. \*\/\n {2}name\?: string \| null;\n/);
  assert.match(text, /tags: \('a' \| 'b\\''\)\[\];/);
  assert.match(text, /'odd-name'\?: Map;/);
  assert.match(text, /export type Map = Record<string, number>;/);
});
