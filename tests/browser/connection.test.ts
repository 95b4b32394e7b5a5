import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJob } from './agent.ts';
import { signIn, visit } from './browser.ts';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';

const suite = useSuite();

test('when the server goes away the page says so, and catches up when it is back', {
  skip,
}, async () => {
  await createJob(suite.server, { command: ['before'] });
  const { page, complaints } = await visit(suite.browser);
  await signIn(page, suite.server, '/jobs');
  await page.getByRole('listitem').filter({ hasText: 'before' }).waitFor();
  await suite.server.stop();
  await page.getByText('The live connection is lost.').waitFor();
  await suite.server.start();
  await createJob(suite.server, { command: ['while', 'away'] });
  await page
    .getByText('The live connection is lost.')
    .waitFor({ state: 'detached', timeout: 40_000 });
  await page.getByRole('listitem').filter({ hasText: 'while away' }).waitFor();
  await createJob(suite.server, { command: ['after'] });
  await page.getByRole('listitem').filter({ hasText: 'after' }).waitFor();
  await page.context().close();
  // Refused connections are on the console, by the browser's own doing; nothing else is.
  assert.deepEqual(
    complaints.filter(
      (text) => !/ERR_CONNECTION|Failed to load resource|ERR_INCOMPLETE/.test(text),
    ),
    [],
  );
});
