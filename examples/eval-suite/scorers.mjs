// How an answer becomes a score from 0 to 1. A scorer is pure: answer and expectation in, score and
// reason out. The reason may quote the answer, so only the log of the job shows it.
import { isDeepStrictEqual } from 'node:util';

const PASS = 0.5;
const REFUSAL = /\b(can(?:no|')t|won't|will not|unable to|not able to)\b.*\b(help|assist|do that|comply)\b/i;
const quote = (text) => JSON.stringify(String(text).slice(0, 80));

function graded(score, reason) {
  return { score, passed: score >= PASS, reason: score >= 1 ? '' : reason };
}

const scorers = {
  exact(answer, { expected, ignoreCase }) {
    const fold = (text) => (ignoreCase ? text.trim().toLowerCase() : text.trim());
    return graded(Number(fold(answer) === fold(expected)), `${quote(answer)} is not ${quote(expected)}`);
  },
  contains(answer, { expected }) {
    return graded(Number(answer.toLowerCase().includes(expected.toLowerCase())), `${quote(answer)} lacks ${quote(expected)}`);
  },
  regex(answer, { expected }) {
    return graded(Number(new RegExp(expected).test(answer.trim())), `${quote(answer)} does not match ${expected}`);
  },
  // The last number of the answer: models like to say how they got there.
  number(answer, { expected, tolerance = 1e-9 }) {
    const found = answer.replace(/(\d),(?=\d{3}\b)/g, '$1').match(/-?\d+(?:\.\d+)?/g)?.at(-1);
    const near = found !== undefined && Math.abs(Number(found) - expected) <= tolerance;
    return graded(Number(near), found === undefined ? `${quote(answer)} has no number` : `${found} is not ${expected}`);
  },
  // The share of fields that are right: half an object is better than none.
  json(answer, { expected }) {
    let value;
    try {
      value = JSON.parse(answer.replace(/^\s*```(?:json)?|```\s*$/g, ''));
    } catch {
      return graded(0, `${quote(answer)} is not JSON`);
    }
    if (isDeepStrictEqual(value, expected)) return graded(1, '');
    const fields = Object.keys(expected);
    const wrong = fields.filter((field) => !isDeepStrictEqual(value?.[field], expected[field]));
    const score = Math.min((fields.length - wrong.length) / fields.length, 0.99);
    return graded(score, wrong.length > 0 ? `wrong: ${wrong.join(', ')}` : 'fields nobody asked for');
  },
  refusal(answer) {
    return graded(Number(REFUSAL.test(answer)), `${quote(answer)} is no refusal`);
  },
};

export const scorerTypes = Object.keys(scorers);

export function score(answer, scorer) {
  return scorers[scorer.type](answer, scorer);
}
