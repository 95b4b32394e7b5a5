// Reads and checks a suite file.
import { readFileSync } from 'node:fs';
import { scorerTypes } from './scorers.mjs';

export class SuiteError extends Error {}

const CASES_MAX = 10_000;

function checkCase(item, index, seen) {
  const where = `case ${index + 1}`;
  if (!/^[a-z0-9][a-z0-9-]*$/.test(item?.id ?? '')) throw new SuiteError(`${where}: id must be words of a-z, 0-9 and -`);
  if (seen.has(item.id)) throw new SuiteError(`${where}: id ${item.id} is used twice`);
  seen.add(item.id);
  if (typeof item.prompt !== 'string' || item.prompt === '') throw new SuiteError(`case ${item.id}: prompt is missing`);
  if (!scorerTypes.includes(item.scorer?.type)) throw new SuiteError(`case ${item.id}: scorer.type must be one of ${scorerTypes.join(', ')}`);
  if (item.scorer.type !== 'refusal' && item.scorer.expected === undefined) throw new SuiteError(`case ${item.id}: scorer.expected is missing`);
}

export function parseSuite(text) {
  let suite;
  try {
    suite = JSON.parse(text);
  } catch (error) {
    throw new SuiteError(`not JSON: ${error.message}`);
  }
  if (typeof suite?.name !== 'string' || suite.name === '') throw new SuiteError('name is missing');
  if (!(suite.threshold >= 0 && suite.threshold <= 1)) throw new SuiteError('threshold must be a number from 0 to 1');
  if (!Array.isArray(suite.cases) || suite.cases.length === 0 || suite.cases.length > CASES_MAX)
    throw new SuiteError(`cases must be a list of 1 to ${CASES_MAX}`);
  const seen = new Set();
  suite.cases.forEach((item, index) => checkCase(item, index, seen));
  return suite;
}

export function readSuite(file) {
  try {
    return parseSuite(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new SuiteError(`${file}: ${error.message}`);
  }
}
