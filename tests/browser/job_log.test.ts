import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { createJob } from './agent.ts';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';
import { waitFor } from './wait.ts';

const suite = useSuite();

const lines = (page: Page) => page.getByRole('region', { name: 'Log lines' });
const firstLines = (count: number, from = 1) =>
  Array.from({ length: count }, (_, index) => `line ${from + index} of the log`);

test('lines appear as they are written, and the end is followed', { skip }, async () => {
  const execution = await suite.agent.run();
  const { page, close } = await suite.open(`/jobs/${execution.job}`);
  await page.getByText('Nothing written yet').waitFor();
  await execution.write(['job starts', 'system'], 'to stdout', ['to stderr', 'stderr']);
  await lines(page).getByText('to stdout').waitFor();
  for (const [text, stream] of [
    ['job starts', 'system'],
    ['to stdout', 'stdout'],
    ['to stderr', 'stderr'],
  ] as const) {
    await lines(page).locator(`[data-stream="${stream}"]`, { hasText: text }).waitFor();
  }
  await execution.write(...firstLines(500));
  await lines(page).getByText('line 500 of the log').waitFor();

  // Scrolled up, the page holds still while lines come in; at the end it follows again.
  await lines(page).hover();
  await page.mouse.wheel(0, -3000);
  await page.getByRole('button', { name: 'Follow' }).waitFor();
  const top = await lines(page).evaluate((element) => element.scrollTop);
  await execution.write(...firstLines(300, 501));
  await page.getByText('803 lines').waitFor();
  assert.equal(await lines(page).evaluate((element) => element.scrollTop), top);
  await page.getByRole('button', { name: 'Follow' }).click();
  await lines(page).getByText('line 800 of the log').waitFor();
  await execution.finish('succeeded', { exit_code: 0 });
  await page.getByText('complete', { exact: true }).waitFor();
  await page
    .getByRole('banner')
    .getByText('succeeded')
    .or(page.getByText('succeeded').first())
    .waitFor();
  await close();
});

test('cancelling asks first, and then stops the job', { skip }, async () => {
  const id = await createJob(suite.server, { command: ['sleep', '600'] });
  const { page, close } = await suite.open(`/jobs/${id}`);
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await page.getByRole('button', { name: 'Keep as it is' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await page.getByRole('button', { name: 'Cancel the job' }).click();
  await page.getByRole('button', { name: 'Run again' }).waitFor();
  const job = await suite.server.call<{ state: string }>('GET', `/api/v1/jobs/${id}`);
  assert.equal(job.state, 'cancelled');
  await page.getByRole('button', { name: 'Run again' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Run again' }).click();
  await page.waitForURL(`**/jobs/${id + 1}`);
  await page.getByRole('link', { name: `#${id}`, exact: true }).waitFor();
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await page.getByRole('button', { name: 'Cancel the job' }).click();
  await page.getByRole('button', { name: 'Run again' }).waitFor();
  await close();
});

test('hostile text is shown and does nothing', { skip }, async () => {
  const esc = '\u001b';
  const hostile = [
    '<img src=x onerror="window.owned=1"><script>window.owned=1</script>',
    '<a href="javascript:window.owned=1">click</a> &lt;b&gt; {{1+1}}',
    `${esc}]0;owned${esc}\\${esc}]8;;https://evil.example${esc}\\a link${esc}]8;;${esc}\\ after`,
    `${esc}[2J${esc}[H${esc}[31mred${esc}[0m ${esc}[38;2;1;2;3;url(x)mtext`,
    'left \u202egnp.exe right',
    `long ${'x'.repeat(60_000)} end`,
    `deep ${`${esc}[1m`.repeat(10_000)}bold`,
  ];
  const execution = await suite.agent.run({ command: ['echo', '<img src=x onerror=alert(1)>'] });
  await execution.write(...hostile, ...firstLines(3));
  await execution.finish('failed', { exit_code: 1, reason: 'exit code 1 <img src=x>' });
  const { page, close } = await suite.open(`/jobs/${execution.job}`);
  await lines(page).getByText('line 3 of the log').waitFor();
  await lines(page).evaluate((element) => element.scrollTo(0, 0));
  await lines(page).getByText('<img src=x onerror="window.owned=1"><script>').waitFor();
  await lines(page).getByText('a link after').waitFor();
  await lines(page).getByText('left \ufffdgnp.exe right').waitFor();
  assert.equal(await lines(page).locator('img, script, iframe, a:not([data-number])').count(), 0);
  assert.equal(await page.locator('main img').count(), 0);
  assert.equal(
    await page.evaluate(() => (window as unknown as { owned?: number }).owned),
    undefined,
  );
  assert.doesNotMatch(await page.title(), /owned/);
  const red = lines(page).getByText('red', { exact: true });
  assert.equal(await red.getAttribute('data-fg'), '1');
  // Unwrapped, only the beginning of the long line is drawn.
  await page.getByRole('button', { name: 'Wrap' }).click();
  const longest = await lines(page).evaluate((element) =>
    Math.max(
      ...[...element.querySelectorAll('[data-stream]')].map((row) => row.textContent?.length ?? 0),
    ),
  );
  assert.ok(longest < 5000, `a row of ${longest} characters`);
  await close();
});

test('a line has an address, and a range can be selected and copied', { skip }, async () => {
  const execution = await suite.agent.run();
  await execution.write(...firstLines(2000));
  await execution.finish('succeeded', { exit_code: 0 });
  const { page, close } = await suite.open(`/jobs/${execution.job}?fence=1#L1000`);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await lines(page).locator('[data-selected="true"]', { hasText: 'line 1000 of' }).waitFor();
  await lines(page)
    .locator('[data-number="1002"]')
    .click({ modifiers: ['Shift'] });
  await page.waitForURL(/#L1000-L1002$/);
  // The address changes at once, the rows with the next drawing.
  await waitFor(
    'three selected rows',
    async () => (await lines(page).locator('[data-selected="true"]').count()) === 3,
  );
  await page.getByRole('button', { name: 'Copy text' }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, firstLines(3, 1000).join('\n'));
  await page.getByRole('button', { name: 'Unselect' }).click();
  await page.waitForURL((url) => !url.hash.includes('L'));
  await close();
});

test('search finds words, counts them and goes from one to the next', { skip }, async () => {
  const execution = await suite.agent.run();
  const text = firstLines(3000).map((line, index) =>
    index % 1000 === 499 ? `a \u001b[31mNee\u001b[0mdle ${index}` : line,
  );
  await execution.write(...text);
  await execution.finish('succeeded', { exit_code: 0 });
  const { page, close } = await suite.open(`/jobs/${execution.job}`);
  await lines(page).getByText('line 3000 of the log').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('needle');
  const found = page.getByRole('search').getByRole('status');
  let shown: string | null = '';
  const shows = (text: string) =>
    waitFor(text, async () => {
      shown = await found.textContent();
      return shown === text;
    }).catch((error) => {
      throw new Error(`${error.message}, but it is ${shown}`);
    });
  await shows('3 found');
  await page.keyboard.press('Enter');
  await shows('1 of 3');
  await page.keyboard.press('Enter');
  await shows('2 of 3');
  const current = await lines(page).locator('[data-found="true"]').textContent();
  await page.keyboard.press('Shift+Enter');
  await shows('1 of 3');
  assert.notEqual(await lines(page).locator('[data-found="true"]').textContent(), current);
  assert.equal(await lines(page).locator('mark').first().textContent(), 'Nee');
  await page.keyboard.press('Escape');
  assert.equal(await page.getByLabel('Search the log').inputValue(), '');
  await close();
});

test('the whole log can be saved as it was written', { skip }, async () => {
  const execution = await suite.agent.run();
  await execution.write('plain', '\u001b[31mred\u001b[0m', 'ünïcode 😀');
  await execution.finish('succeeded', { exit_code: 0 });
  const { page, close } = await suite.open(`/jobs/${execution.job}`);
  await page.getByText('complete', { exact: true }).waitFor();
  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  const saved = await saving;
  assert.equal(saved.suggestedFilename(), `job-${execution.job}-execution-1.log`);
  const stream = await saved.createReadStream();
  const text = (await stream.toArray()).join('');
  assert.equal(text, 'plain\n\u001b[31mred\u001b[0m\nünïcode 😀\n');
  await close();
});

test('a log of a million lines stays a few rows in the page', { skip }, async () => {
  const total = Number(process.env.BROWSER_LOG_LINES ?? 1_000_000);
  const execution = await suite.agent.run();
  for (let first = 1; first <= total; first += 50_000) {
    await execution.write(...firstLines(Math.min(50_000, total - first + 1), first));
  }
  await execution.finish('succeeded', { exit_code: 0 });
  const { page, close } = await suite.open(`/jobs/${execution.job}`);
  await lines(page).waitFor();
  const rows = () => lines(page).locator('[data-stream]').count();
  let most = 0;
  await waitFor(
    'the whole log to be read',
    async () => {
      most = Math.max(most, await rows());
      return (await page.getByText('complete', { exact: true }).count()) === 1;
    },
    240_000,
  );
  await lines(page).getByText(`line ${total} of the log`).waitFor();
  await lines(page).evaluate((element) => element.scrollTo(0, element.scrollHeight / 2));
  await page.getByRole('button', { name: 'To the end' }).waitFor();
  most = Math.max(most, await rows());
  assert.ok(most < 120, `${most} rows were in the page at once`);
  await page.keyboard.press('/');
  await page.keyboard.type(`line ${total / 2} of`);
  await page.getByText('1 found').waitFor();
  await page.keyboard.press('Enter');
  await lines(page)
    .locator('[data-found="true"]', { hasText: `line ${total / 2} of` })
    .waitFor();
  await lines(page).evaluate((element) => element.scrollTo(0, 0));
  await lines(page).getByText('line 1 of the log').waitFor();
  await close();
});
