import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJob } from './agent.ts';
import { signIn, visit } from './browser.ts';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';
import { waitFor } from './wait.ts';

const suite = useSuite();

test('without jobs the page teaches the first command', { skip }, async () => {
  const { page, close } = await suite.open('/jobs');
  await page.getByText('nimbus run -- echo hello').waitFor();
  await close();
});

test('a job that is queued elsewhere appears, and changes as it runs', { skip }, async () => {
  const { page, close } = await suite.open('/jobs');
  const execution = await suite.agent.lease({ command: ['echo', 'appears live'] });
  const row = page.getByRole('listitem').filter({ hasText: 'appears live' });
  await row.getByText('leased').waitFor();
  await execution.event('started');
  await row.getByText('running').waitFor();
  await execution.finish('failed', { exit_code: 7, reason: 'exit code 7' });
  await row.getByText('failed').waitFor();
  await row.getByText('exit code 7').waitFor();
  await close();
});

test('filters are in the address, and jobs that do not match stay away', { skip }, async () => {
  await createJob(suite.server, { repo: 'wanted', metadata: { model: 'qwen' }, command: ['one'] });
  const { page, close } = await suite.open('/jobs');
  await page.getByLabel('Filter the jobs').fill('acme/wanted model=qwen');
  await page.keyboard.press('Enter');
  await waitFor('the address to change', () => page.url().includes('repo=wanted'));
  await page.getByRole('button', { name: 'queued' }).click();
  await waitFor('the state in the address', () => page.url().includes('state=queued'));
  await page.getByRole('listitem').filter({ hasText: 'one' }).waitFor();
  await createJob(suite.server, { repo: 'other', command: ['stays', 'away'] });
  await createJob(suite.server, {
    repo: 'wanted',
    metadata: { model: 'qwen' },
    command: ['second', 'match'],
  });
  await page.getByRole('listitem').filter({ hasText: 'second match' }).waitFor();
  assert.equal(await page.getByRole('listitem').count(), 2);
  await page.reload();
  await page.getByRole('listitem').filter({ hasText: 'second match' }).waitFor();
  assert.equal(await page.getByRole('listitem').count(), 2);
  assert.equal(await page.getByLabel('Filter the jobs').inputValue(), 'acme/wanted model=qwen');
  await close();
});

test('everything can be reached by keyboard', { skip }, async () => {
  await createJob(suite.server, { command: ['older'] });
  const id = await createJob(suite.server, { command: ['newer'] });
  const { page, close } = await suite.open('/jobs');
  await page.getByRole('listitem').filter({ hasText: 'newer' }).waitFor();
  await page.keyboard.press('/');
  assert.equal(
    await page.evaluate(() => document.activeElement?.getAttribute('aria-label')),
    'Filter the jobs',
  );
  await page.locator(`[data-job="${id}"]`).focus();
  await page.keyboard.press('ArrowDown');
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  assert.equal(await focused(), 'older');
  await page.keyboard.press('ArrowUp');
  assert.equal(await focused(), 'newer');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/jobs/${id}`);
  for (const [keys, path] of [
    ['ga', '/agents'],
    ['ge', '/evals'],
    ['gh', '/health'],
    ['gj', '/jobs'],
  ] as const) {
    for (const key of keys) await page.keyboard.press(key);
    await page.waitForURL(`**${path}`);
  }
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Tab');
  const outline = await page.evaluate(() => {
    const style = getComputedStyle(document.activeElement as Element);
    return style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) > 0;
  });
  assert.ok(outline, 'the focused element is outlined');
  await close();
});

test('a hundred thousand jobs stay a few rows in the page', { skip }, async () => {
  const total = 100_000;
  const { page, close } = await visit(suite.browser);
  await signIn(page, suite.server, '/health');
  const template = await suite.server.call<{ items: object[] }>('GET', '/api/v1/jobs?limit=1');
  // The list's answers are made here: what is tried is the page.
  await page.route('**/api/v1/jobs?*', (route) => {
    const query = new URL(route.request().url()).searchParams;
    const first = Number(query.get('cursor') ?? total);
    const limit = Number(query.get('limit'));
    const items = Array.from({ length: Math.min(limit, first) }, (_, index) => ({
      ...template.items[0],
      id: first - index,
      command: ['job', `number-${first - index}`],
    }));
    const next_cursor = first > limit ? String(first - limit) : null;
    return route.fulfill({ json: { items, next_cursor } });
  });
  await page.getByRole('link', { name: 'Jobs', exact: true }).click();
  await page.getByText('number-100000').waitFor();
  const loaded = async () => {
    const text = await page.getByText(/loaded, more below|^[\d,]+ jobs$/).textContent();
    return Number((text ?? '').replace(/\D/g, ''));
  };
  const scroller = page.locator('ol').locator('xpath=../..');
  let most = 0;
  await waitFor(
    'every job to be loaded by scrolling',
    async () => {
      await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight));
      most = Math.max(most, await page.getByRole('listitem').count());
      return (await loaded()) === total;
    },
    120_000,
  );
  await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await page
    .getByText('number-1', { exact: true })
    .or(page.getByText('job number-1', { exact: true }))
    .waitFor();
  assert.ok(most < 60, `${most} rows were in the page at once`);
  // The list still answers at once: a job that comes now is shown within a moment.
  await scroller.evaluate((element) => element.scrollTo(0, 0));
  await page.getByText('number-100000').waitFor();
  await close();
});

test('a viewer is told why a job cannot be cancelled', { skip }, async () => {
  const created = await suite.server.call<{ token: string }>('POST', '/api/v1/tokens', {
    name: 'looks-only',
    role: 'viewer',
    org: '*',
  });
  const id = await createJob(suite.server, { command: ['sleep', '60'] });
  const { page, close } = await visit(suite.browser);
  await signIn(page, suite.server, `/jobs/${id}`, created.token);
  const button = page.getByRole('button', { name: 'Cancel job' });
  await button.waitFor();
  assert.equal(await button.getAttribute('aria-disabled'), 'true');
  assert.match((await button.getAttribute('title')) ?? '', /role viewer/);
  await button.click({ force: true });
  assert.equal(await page.getByRole('dialog').count(), 0);
  await close();
});

test('an agent is shown, drained, resumed and revoked', { skip }, async () => {
  const { page, close } = await suite.open('/agents');
  const row = page.getByRole('row').filter({ hasText: 'played-agent' });
  await row.getByText('online').waitFor();
  await row.getByRole('button', { name: /Drain/ }).click();
  await page.getByRole('button', { name: 'Drain the agent' }).click();
  await row.getByText('draining').waitFor();
  await row.getByRole('button', { name: /Resume/ }).click();
  await page.getByRole('button', { name: 'Resume the agent' }).click();
  await row.getByText('online').waitFor();
  await row.getByRole('button', { name: /Revoke/ }).click();
  await page.getByRole('button', { name: 'Revoke the agent' }).click();
  await row.getByText('revoked').waitFor();
  await close();
});
