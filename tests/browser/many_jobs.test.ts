import assert from 'node:assert/strict';
import { Agent as Connections, request } from 'node:http';
import { test } from 'node:test';
import { createJob } from './agent.ts';
import { type Server, skip } from './server.ts';
import { useSuite } from './suite.ts';
import { waitFor } from './wait.ts';

const suite = useSuite();
const TOTAL = Number(process.env.BROWSER_JOBS ?? 100_000);
const CONNECTIONS = 32;

// Over connections that stay open: a hundred thousand new ones would be the slowest part of it.
async function createJobs(server: Server, count: number): Promise<void> {
  const agent = new Connections({ keepAlive: true, maxSockets: CONNECTIONS });
  const headers = { Authorization: `Bearer ${server.token}`, 'Content-Type': 'application/json' };
  const create = (number: number) =>
    new Promise<void>((resolve, reject) => {
      const sent = request(
        `${server.url}/api/v1/jobs`,
        { agent, method: 'POST', headers },
        (answer) => {
          answer.resume();
          answer.on('end', () =>
            answer.statusCode === 201
              ? resolve()
              : reject(new Error(`status ${answer.statusCode}`)),
          );
        },
      );
      sent.on('error', reject);
      sent.end(JSON.stringify({ org: 'acme', repo: 'app', command: ['job', `number-${number}`] }));
    });
  let next = 1;
  const work = async () => {
    while (next <= count) {
      const number = next;
      next += 1;
      await create(number);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  agent.destroy();
}

test('a hundred thousand jobs stay a few rows in the page', { skip }, async () => {
  await createJobs(suite.server, TOTAL);
  const { page, close } = await suite.open('/jobs');
  await page.getByRole('listitem').first().waitFor();
  const scroller = page.locator('ol').locator('xpath=../..');
  const toEnd = () => scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  const loaded = async () => {
    const text = await page.getByText(/loaded, more below|^[\d,]+ jobs$/).textContent();
    return Number((text ?? '').replace(/\D/g, ''));
  };
  let most = 0;
  await waitFor(
    'every job to be loaded by scrolling',
    async () => {
      await toEnd();
      most = Math.max(most, await page.getByRole('listitem').count());
      return (await loaded()) === TOTAL;
    },
    180_000,
  );
  await toEnd();
  const oldest = page.getByRole('listitem').filter({ has: page.locator('[data-job="1"]') });
  await oldest.waitFor();
  assert.ok(most < 60, `${most} rows were in the page at once`);

  // A reader down here keeps the same rows before the eyes while a new job comes in at the top.
  const place = () => oldest.evaluate((element) => element.getBoundingClientRect().top);
  const before = await place();
  await createJob(suite.server, { command: ['the', 'newest'] });
  await waitFor('the new job to be counted', async () => (await loaded()) === TOTAL + 1);
  assert.equal(await place(), before);
  await scroller.evaluate((element) => element.scrollTo(0, 0));
  await page.getByRole('listitem').filter({ hasText: 'the newest' }).waitFor();
  await close();
});
