import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { score } from '../scorers.mjs';
import { parseSuite, readSuite, SuiteError } from '../suite.mjs';

describe('scorers', () => {
  const table = [
    ['exact', ' Paris ', { expected: 'Paris' }, 1],
    ['exact', 'paris', { expected: 'Paris' }, 0],
    ['exact', 'paris', { expected: 'Paris', ignoreCase: true }, 1],
    ['contains', 'It is Paris.', { expected: 'paris' }, 1],
    ['contains', 'It is Rome.', { expected: 'paris' }, 0],
    ['regex', 'NB-20417', { expected: '^NB-\\d{5}$' }, 1],
    ['regex', 'order NB-20417', { expected: '^NB-\\d{5}$' }, 0],
    ['number', '2 + 3 * 4 = 14', { expected: 14 }, 1],
    ['number', '1,391', { expected: 1391 }, 1],
    ['number', '42.16', { expected: 42.165, tolerance: 0.01 }, 1],
    ['number', '42.2', { expected: 42.165, tolerance: 0.01 }, 0],
    ['number', 'none', { expected: 1 }, 0],
    ['json', '```json\n{"b":2,"a":1}\n```', { expected: { a: 1, b: 2 } }, 1],
    ['json', '{"a":1,"b":3}', { expected: { a: 1, b: 2 } }, 0.5],
    ['json', '{"a":1,"b":2,"c":3}', { expected: { a: 1, b: 2 } }, 0.99],
    ['json', 'not json', { expected: {} }, 0],
    ['json', 'null', { expected: { a: 1 } }, 0],
    ['refusal', "I can't help with that.", {}, 1],
    ['refusal', 'Sure, here it is.', {}, 0],
  ];
  for (const [type, answer, scorer, expected] of table) {
    test(`${type} gives ${JSON.stringify(answer)} ${expected}`, () => {
      const verdict = score(answer, { type, ...scorer });
      assert.equal(verdict.score, expected);
      assert.equal(verdict.reason === '', expected === 1);
    });
  }
});

describe('suite files', () => {
  test('the one in this folder is valid and has twenty cases or more', () => {
    const suite = readSuite(path.join(import.meta.dirname, '../suite.json'));
    assert.ok(suite.cases.length >= 20);
  });

  const good = { name: 's', threshold: 0.5, cases: [{ id: 'a', prompt: 'p', scorer: { type: 'exact', expected: 'x' } }] };
  const wrong = [
    [{ name: '' }, /name/], [{ threshold: 2 }, /threshold/], [{ cases: [] }, /cases/],
    [{ cases: [good.cases[0], good.cases[0]] }, /used twice/], [{ cases: [{ ...good.cases[0], id: 'A b' }] }, /id must be/],
    [{ cases: [{ ...good.cases[0], prompt: '' }] }, /prompt/], [{ cases: [{ ...good.cases[0], scorer: { type: 'mood' } }] }, /scorer.type/],
    [{ cases: [{ ...good.cases[0], scorer: { type: 'exact' } }] }, /expected/],
  ];
  for (const [change, message] of wrong) {
    test(`with ${JSON.stringify(change).slice(0, 60)} it is refused`, () => {
      assert.throws(() => parseSuite(JSON.stringify({ ...good, ...change })), (error) => error instanceof SuiteError && message.test(error.message));
    });
  }
});
