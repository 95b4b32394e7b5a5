import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';

const suite = useSuite();

test('a job’s eval results are beside its log, failed cases first', { skip }, async () => {
  const execution = await suite.agent.run({ command: ['run', 'evals'] });
  await execution.report('capitals', [
    { name: 'case of France', score: 1 },
    { name: 'case <b>of Spain</b>', score: 0.25 },
    { name: 'case of Italy', score: 1 },
  ]);
  await execution.write('3 cases');
  await execution.finish('failed', { exit_code: 1, reason: 'exit code 1' });

  const { page, close } = await suite.open('/evals');
  const run = page.getByRole('row').filter({ hasText: 'capitals' });
  await run.getByText('2 / 3').waitFor();
  await run.getByText('0.75').waitFor();
  await run.getByRole('link').click();
  await page.waitForURL(`**/jobs/${execution.job}?tab=eval`);
  const cases = page.getByRole('region', { name: 'Eval results' }).getByRole('row');
  await cases.filter({ hasText: 'case <b>of Spain</b>' }).getByText('failed').waitFor();
  assert.match((await cases.nth(1).textContent()) ?? '', /Spain.*exact match.*failed.*0\.25/);
  assert.equal(await cases.count(), 4);
  await page.getByRole('button', { name: 'Log', exact: true }).click();
  await page.getByRole('region', { name: 'Log lines' }).getByText('3 cases').waitFor();
  await close();
});
