import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signIn, visit } from './browser.ts';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';

const suite = useSuite();

test('a wrong token is refused with words and the field keeps the focus', { skip }, async () => {
  const { page, close } = await visit(suite.browser);
  await page.goto(`${suite.server.url}/jobs/7?tab=eval`);
  await page.getByLabel('Token', { exact: true }).fill('nbt_wrong');
  await page.keyboard.press('Enter');
  await page.getByText('does not know this token').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'token');
  assert.match(page.url(), /\/sign-in\?next=/);
  await close();
});

test('signing in leads to where one wanted to go', { skip }, async () => {
  const { page, close } = await visit(suite.browser);
  await signIn(page, suite.server, '/health');
  await page.getByRole('heading', { name: 'Health' }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/health');
  await close();
});

test('the token is kept nowhere that a script can read', { skip }, async () => {
  const { page, close } = await visit(suite.browser);
  await signIn(page, suite.server);
  const seen = await page.evaluate(() =>
    JSON.stringify([
      { ...localStorage },
      { ...sessionStorage },
      document.cookie,
      document.documentElement.outerHTML,
    ]),
  );
  assert.ok(!seen.includes(suite.server.token));
  const cookie = (await page.context().cookies()).find(({ name }) => name === 'nimbus_session');
  assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict']);
  await close();
});

test('signing out ends the session in every tab', { skip }, async () => {
  const { page, close } = await visit(suite.browser);
  await signIn(page, suite.server);
  const other = await page.context().newPage();
  await other.goto(`${suite.server.url}/health`);
  await other.getByRole('heading', { name: 'Health' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in to Nimbus' }).waitFor();
  await other.getByRole('link', { name: 'Agents' }).click();
  await other.getByRole('heading', { name: 'Sign in to Nimbus' }).waitFor();
  await close();
});

test('the page is served with a strict policy, and assets for ever', { skip }, async () => {
  const html = await fetch(suite.server.url, { headers: { Accept: 'text/html' } });
  const policy = html.headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'self'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(html.headers.get('x-content-type-options'), 'nosniff');
  const script = /\/assets\/[^"]+\.js/.exec(await html.text())?.[0] ?? '';
  const asset = await fetch(suite.server.url + script);
  assert.equal(asset.status, 200);
  assert.match(asset.headers.get('content-type') ?? '', /javascript/);
});

test('an unknown page says so', { skip }, async () => {
  const { page, close } = await suite.open('/no/such/page');
  await page.getByText('There is no such page').waitFor();
  await page.getByRole('link', { name: 'Go to the jobs' }).click();
  await page.waitForURL('**/jobs');
  await close();
});

test('light and dark follow the system, and the choice is remembered', { skip }, async () => {
  const { page, close } = await suite.open('/jobs', { colorScheme: 'dark' });
  const brightness = () =>
    page.evaluate(() => {
      const canvas = new OffscreenCanvas(1, 1).getContext(
        '2d',
      ) as OffscreenCanvasRenderingContext2D;
      canvas.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
      return ((r ?? 0) + (g ?? 0) + (b ?? 0)) / 3;
    });
  assert.ok((await brightness()) < 60);
  await page.emulateMedia({ colorScheme: 'light' });
  assert.ok((await brightness()) > 200);
  const button = page.getByRole('button', { name: /^Colours/ });
  await button.click();
  await button.click();
  assert.ok((await brightness()) < 60);
  await page.reload();
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
  assert.ok((await brightness()) < 60);
  await close();
});

test('a phone shows the pages without scrolling sideways', { skip }, async () => {
  const { page, close } = await suite.open('/jobs', { viewport: { width: 375, height: 720 } });
  for (const path of ['/jobs', '/evals', '/health']) {
    await page.goto(suite.server.url + path);
    await page.getByRole('navigation', { name: 'Pages' }).waitFor();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${path} is ${overflow} px too wide`);
  }
  await close();
});
