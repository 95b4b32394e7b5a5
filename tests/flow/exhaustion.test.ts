// What the host runs out of: the server sheds load and serves again, by itself.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Nimbus, queued, until } from './nimbus.ts';

describe('a server without a file descriptor left', () => {
  let nimbus: Nimbus;
  const held: net.Socket[] = [];
  before(async () => {
    nimbus = await Nimbus.start();
    await until('every part to be there', async () => (await nimbus.get('/readyz')).json.status === 'ready');
  });
  after(async () => {
    for (const socket of held) socket.destroy();
    await nimbus.stop();
  });

  const hold = () =>
    new Promise<void>((resolve) => {
      const socket = net.connect(nimbus.port, '127.0.0.1', () => resolve());
      socket.on('error', () => resolve());
      held.push(socket);
    });
  const open = () => readdirSync(`/proc/${nimbus.pid}/fd`).length;

  test('fault_11: accepts no more, loses nothing, and serves as soon as some are free', async () => {
    const first = await nimbus.deliver(queued());
    assert.equal(first.status, 202);
    const limit = open() + 8;
    execFileSync('prlimit', ['--pid', `${nimbus.pid}`, `--nofile=${limit}:${limit}`]);
    for (let i = 0; i < 40; i += 1) await hold();
    await until('every descriptor to be taken', async () => open() >= limit - 1);
    for (const socket of held.splice(0)) socket.destroy();
    const again = await until('an answer', async () => {
      const answer = await nimbus.get(`/api/v1/jobs/${first.json.job}`).catch(() => undefined);
      return answer?.status === 200 ? answer : undefined;
    });
    assert.equal(again.json.id, first.json.job);
    assert.equal((await nimbus.deliver(queued())).status, 202);
    assert.equal((await nimbus.get('/healthz')).status, 200);
  });
});
