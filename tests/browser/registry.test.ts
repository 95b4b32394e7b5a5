import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signIn, visit } from './browser.ts';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';
import { Images } from './uploads.ts';
import { waitFor } from './wait.ts';

const suite = useSuite();

test('an empty registry says how to push', { skip }, async () => {
  const { page, close } = await suite.open('/registry');
  await page.getByRole('heading', { name: 'No repository yet' }).waitFor();
  await page.getByText(`docker login ${new URL(suite.server.url).host}`).waitFor();
  await close();
});

test('a repository’s row has its tags, its size and its last use', { skip }, async () => {
  const images = new Images(suite.server, 'acme/app/web');
  await images.push('1', 1_000_000);
  await images.push('2', 2_000_000);
  const { page, close } = await suite.open('/registry');
  const row = page.getByRole('row').filter({ hasText: 'acme/app/web' });
  await row.getByRole('cell', { name: '2', exact: true }).waitFor();
  await row.getByText('2.9 MiB').waitFor();
  await row.getByRole('cell', { name: 'never' }).waitFor();
  await page.getByRole('meter', { name: 'acme' }).waitFor();
  await row.getByRole('link').click();
  await page.getByRole('heading', { name: 'acme/app/web' }).waitFor();
  await close();
});

test('tags are listed newest first, and the last pull of each', { skip }, async () => {
  const images = new Images(suite.server, 'acme/pulled');
  await images.push('old', 1_000);
  await images.push('new', 1_000);
  await images.pull('old');
  await waitFor('the pull to be noted', async () => {
    const { items } = await suite.server.call<{ items: { pulled_at: string | null }[] }>(
      'GET',
      '/api/v1/repository-tags?repository=acme/pulled',
    );
    return items[1]?.pulled_at !== null;
  });
  const { page, close } = await suite.open('/registry/acme/pulled');
  const rows = page.getByRole('row');
  await rows.nth(2).waitFor();
  assert.match((await rows.nth(1).textContent()) ?? '', /^new.*never$/);
  assert.match((await rows.nth(2).textContent()) ?? '', /^old.*(ago|just now)$/);
  await close();
});

test('an index names its platforms, and each of its images the one it is for', {
  skip,
}, async () => {
  const index = await new Images(suite.server, 'acme/multi').pushIndex('2.0', ['amd64', 'arm64']);
  const { page, close } = await suite.open('/registry/acme/multi');
  await page.getByText('linux/amd64, linux/arm64').waitFor();
  await page.getByRole('button', { name: /^Manifests/ }).click();
  await page.getByTitle(index.digest).waitFor();
  const untagged = page.getByRole('row').filter({ hasText: 'untagged' });
  await untagged.filter({ hasText: 'linux/arm64' }).waitFor();
  assert.equal(await untagged.count(), 2);
  await close();
});

test('the command that pulls a tag is copied', { skip }, async () => {
  await new Images(suite.server, 'acme/copied').push('1.0', 1_000);
  const permissions = ['clipboard-read', 'clipboard-write'];
  const { page, close } = await suite.open('/registry/acme/copied', { permissions });
  await page.getByRole('button', { name: 'Copy the command that pulls 1.0' }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, `docker pull ${new URL(suite.server.url).host}/acme/copied:1.0`);
  await close();
});

test('a tag is deleted after it was confirmed', { skip }, async () => {
  const images = new Images(suite.server, 'acme/deleting');
  await images.push('stays', 1_000);
  await images.push('goes', 1_000);
  const { page, close } = await suite.open('/registry/acme/deleting');
  await page.getByRole('button', { name: 'Delete the tag goes' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete the tag' }).click();
  await page.getByRole('button', { name: 'Delete the tag goes' }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Tags 1/ }).waitFor();
  await assert.rejects(images.pull('goes'), /404/);
  await images.pull('stays');
  await close();
});

test('a viewer sees its own org’s and has no button to delete with', { skip }, async () => {
  await new Images(suite.server, 'seen/app').push('1', 1_000);
  const { token } = await suite.server.call<{ token: string }>('POST', '/api/v1/tokens', {
    name: 'viewer',
    role: 'viewer',
    org: 'seen',
  });
  const { page, complaints } = await visit(suite.browser);
  await signIn(page, suite.server, '/registry', token);
  await page.getByRole('link', { name: 'seen/app' }).click();
  await page.getByRole('button', { name: 'Copy the command that pulls 1' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /^Delete/ }).count(), 0);
  await page.goto(`${suite.server.url}/registry/acme/app/web`);
  await page.getByRole('heading', { name: 'There is no repository acme/app/web' }).waitFor();
  assert.deepEqual(
    complaints.filter((each) => !each.includes('404')),
    [],
  );
});

test('a job’s artifacts are beside its log and can be downloaded', { skip }, async () => {
  const execution = await suite.agent.run();
  await execution.artifact('coverage', Buffer.from('PK of a report'));
  const { page, close } = await suite.open(`/jobs/${execution.job}`);
  const artifacts = page.getByRole('region', { name: 'Artifacts' });
  await artifacts.getByText('14 B').waitFor();
  const download = page.waitForEvent('download');
  await artifacts.getByRole('link', { name: 'coverage' }).click();
  const file = await (await download).createReadStream();
  const pieces: Buffer[] = [];
  for await (const piece of file) pieces.push(piece as Buffer);
  assert.equal(Buffer.concat(pieces).toString(), 'PK of a report');
  await close();
});
