import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent, createJob } from './agent.ts';
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
  const agent = await Agent.enroll(suite.server, 'second-agent');
  await agent.poll();
  const { page, close } = await suite.open('/agents');
  const row = page.getByRole('row').filter({ hasText: 'second-agent' });
  await row.getByText('online').waitFor();
  for (const [act, state] of [
    ['Drain', 'draining'],
    ['Resume', 'online'],
  ] as const) {
    await row.getByRole('button', { name: act }).click();
    await page.getByRole('button', { name: `${act} the agent` }).click();
    await row.getByText(state).waitFor();
  }
  await row.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('button', { name: 'Revoke the agent' }).click();
  await row.waitFor({ state: 'detached' });
  await assert.rejects(agent.poll(), /401/);
  await close();
});
