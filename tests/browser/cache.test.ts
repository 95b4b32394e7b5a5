import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signIn, visit } from './browser.ts';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';
import { cacheForOrg } from './uploads.ts';
import { waitFor } from './wait.ts';

const suite = useSuite();

const tokenOf = async (role: string, org: string): Promise<string> => {
  const made = await suite.server.call<{ token: string }>('POST', '/api/v1/tokens', {
    name: `${role} of ${org}`,
    role,
    org,
  });
  return made.token;
};

test('an empty cache says how to fill it', { skip }, async () => {
  const { page, close } = await suite.open('/cache');
  await page.getByRole('heading', { name: 'Nothing is cached yet' }).waitFor();
  await page.getByText('No entry can be read by jobs of more trust').waitFor();
  await close();
});

test('an entry shows its scope, its size and the job that wrote it', { skip }, async () => {
  const job = await suite.agent.run({ org: 'acme', repo: 'app', ref: 'refs/heads/faster' });
  await job.cache('npm-linux-1', 3_000_000);
  const { page, close } = await suite.open('/cache');
  const row = page.getByRole('listitem').filter({ hasText: 'npm-linux-1' });
  await row.getByText('acme/app · faster').waitFor();
  await row.getByText('2.9 MiB').waitFor();
  await row.getByRole('link', { name: `job ${job.job}` }).click();
  await page.waitForURL(`**/jobs/${job.job}`);
  await close();
});

test('usage stands beside the org’s quota and by repository', { skip }, async () => {
  await suite.server.call('PUT', '/api/v1/orgs/quota', { cache_bytes_max: 10_000_000 });
  const job = await suite.agent.run({ org: 'quota', repo: 'web' });
  await job.cache('large', 9_500_000);
  const { page, close } = await suite.open('/cache?org=quota');
  const usage = page.getByRole('region', { name: 'Usage' });
  await usage.getByText('9.1 MiB of 9.5 MiB').waitFor();
  const bar = usage.getByRole('meter', { name: 'quota' });
  assert.equal(await bar.evaluate((element: HTMLMeterElement) => element.value), 9_500_000);
  await page.getByRole('region', { name: 'Repositories' }).getByText('quota/web').waitFor();
  await close();
});

test('entries are filtered by repository and key and sorted by size', { skip }, async () => {
  const web = await suite.agent.run({ org: 'sorted', repo: 'web' });
  await web.cache('vite-small', 1_000);
  await web.cache('vite-large', 30_000);
  await web.cache('vite-middle', 20_000);
  await web.cache('other', 5_000);
  const app = await suite.agent.run({ org: 'sorted', repo: 'app' });
  await app.cache('vite-app', 40_000);
  const { page, close } = await suite.open('/cache');
  await page.getByLabel('Repository').selectOption('sorted/web');
  await page.getByLabel('Order').selectOption('largest');
  await page.keyboard.press('Escape');
  await page.getByLabel('Keys that start with').fill('vite-');
  await page.keyboard.press('Enter');
  await page.getByText('3 entries').waitFor();
  const shown = await page.getByRole('listitem').filter({ has: page.locator('[data-row]') });
  const keys = await shown.locator('[data-row]').allTextContents();
  assert.deepEqual(keys, ['vite-large', 'vite-middle', 'vite-small']);
  assert.match(page.url(), /org=sorted&repo=web&key=vite-&sort=largest$/);
  await close();
});

test('an entry is deleted after it was confirmed, and its bytes are given back', {
  skip,
}, async () => {
  const job = await suite.agent.run({ org: 'deleting', repo: 'app' });
  await job.cache('stays', 1_000);
  await job.cache('goes', 2_000_000);
  const { page, close } = await suite.open('/cache?org=deleting');
  await page.getByText('2 entries').waitFor();
  await page.getByRole('button', { name: 'Delete goes' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Keep as it is' }).click();
  await page.getByText('2 entries').waitFor();
  await page.getByRole('button', { name: 'Delete goes' }).click();
  await dialog.getByRole('button', { name: 'Delete the entry' }).click();
  await page.getByText('1 entry').waitFor();
  await page.getByRole('region', { name: 'Usage' }).getByText('1000 B of').waitFor();
  const left = await suite.server.call<{ items: { key: string }[] }>(
    'GET',
    '/api/v1/caches?org=deleting',
  );
  assert.deepEqual(
    left.items.map(({ key }) => key),
    ['stays'],
  );
  await close();
});

test('a viewer has no button to delete with, and sees one org', { skip }, async () => {
  await cacheForOrg(suite.server, 'seen', 'shared/model', 1_000);
  await cacheForOrg(suite.server, 'unseen', 'shared/secret', 1_000);
  const { page, close } = await visit(suite.browser);
  await signIn(page, suite.server, '/cache', await tokenOf('viewer', 'seen'));
  await page.getByText('shared/model').waitFor();
  assert.equal(await page.getByText('secret').count(), 0);
  assert.equal(await page.getByRole('button', { name: /^Delete/ }).count(), 0);
  await page.getByRole('button', { name: 'shared/model' }).click();
  const dialog = page.getByRole('dialog', { name: 'Cache entry' });
  await dialog.getByText('an operator').waitFor();
  assert.equal(await dialog.getByRole('button', { name: /Delete/ }).count(), 0);
  await close();
});

test('thousands of entries stay a few rows, and keys move between them', { skip }, async () => {
  const job = await suite.agent.run({ org: 'many', repo: 'app' });
  const total = 1_500;
  for (let first = 0; first < total; first += 20) {
    const some = Array.from({ length: 20 }, (_, index) => job.cache(`key-${first + index}`, 10));
    await Promise.all(some);
  }
  const { page, close } = await suite.open('/cache?org=many&sort=oldest');
  const row = (key: string) => page.getByRole('button', { name: key, exact: true });
  const rows = page.getByRole('list', { name: /Cache entries/ }).getByRole('listitem');
  await rows.first().waitFor();
  await rows.first().locator('[data-row]').focus();
  await page.keyboard.press('ArrowDown');
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  const second = await rows.nth(1).locator('[data-row]').textContent();
  await waitFor('the second row to have the focus', async () => (await focused()) === second);
  await waitFor('the last row to be reached', async () => {
    await page.keyboard.press('End');
    return page.getByText(`1,500 entries`).isVisible();
  });
  await page.keyboard.press('End');
  assert.ok((await rows.count()) < 60);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Cache entry' }).waitFor();
  await page.keyboard.press('Escape');
  assert.ok(await row((await focused()) ?? '').isVisible());
  await close();
});

test('an answer that does not come is said, and asked for again', { skip }, async () => {
  const { page, complaints } = await suite.open('/jobs');
  await page.route('**/api/v1/caches?*', (route) =>
    route.fulfill({
      status: 500,
      contentType: 'application/problem+json',
      body: JSON.stringify({ status: 500, title: 'Broken', detail: 'the disk is on fire' }),
    }),
  );
  await page.getByRole('link', { name: 'Cache' }).click();
  await page.getByText('the disk is on fire').waitFor();
  await page.unroute('**/api/v1/caches?*');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('list', { name: /Cache entries/ }).waitFor();
  assert.deepEqual(
    complaints.filter((each) => !each.includes('500')),
    [],
  );
});
