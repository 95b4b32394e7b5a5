// kill -9 at any moment under load: what was answered with 202 is there after restart, exactly once.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Nimbus, queued } from './nimbus.ts';

describe('kill -9 under concurrent deliveries', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  const everyJob = async () => {
    const seen = new Map<number, number>();
    for (let cursor = ''; cursor !== null; ) {
      const page = (await nimbus.get(`/api/v1/jobs?limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)).json;
      for (const job of page.items) seen.set(job.github.job_id, (seen.get(job.github.job_id) ?? 0) + 1);
      cursor = page.next_cursor;
    }
    return seen;
  };

  for (const round of [1, 2, 3, 4, 5]) {
    test(`round ${round}: every accepted delivery has its job once, and every redelivery is told so`, async () => {
      const accepted: { id: number; body: string; delivery: string }[] = [];
      const workers = Array.from({ length: 200 }, async () => {
        for (;;) {
          const body = queued();
          const delivery = randomUUID();
          const answer = await nimbus.deliver(body, { delivery }).catch(() => undefined);
          if (!answer) return;
          if (answer.status === 202) accepted.push({ id: JSON.parse(body).workflow_job.id, body, delivery });
        }
      });
      // The moment differs in every round, and is not chosen by what the server is doing.
      const enough = 100 * round + Math.floor(Math.random() * 400);
      const kill = (async () => {
        while (accepted.length < enough) await new Promise((resolve) => setImmediate(resolve));
        await nimbus.end('SIGKILL');
      })();
      await Promise.all([kill, ...workers]);
      await nimbus.boot();
      const stored = await everyJob();
      for (const { id } of accepted) assert.equal(stored.get(id), 1, `job ${id} stands ${stored.get(id) ?? 0} times`);
      assert.ok([...stored.values()].every((count) => count === 1));
      const again = await nimbus.deliver(accepted[0].body, { delivery: accepted[0].delivery });
      assert.equal(again.json.result, 'duplicate');
    });
  }
});
