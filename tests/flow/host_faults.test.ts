// What happens to jobs, and to later ones, when the fault is the host's or the operator's.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { canBoot, Nimbus, until } from './nimbus.ts';

/** The processes that run virtual machines of this data directory. */
const monitors = (data: string): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      try {
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8');
        return /^[^\0]*qemu-system/.test(command) && command.includes(data);
      } catch {
        return false; // it has ended meanwhile
      }
    })
    .map(Number);

describe('faults that are not the job’s', { skip: canBoot() }, () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start({ agent: true, config: '[agent]\nslots = 2\n' });
  });
  after(() => nimbus.stop());

  const detached = async (script: string, flags: string[] = []) => {
    const started = await nimbus.cli(['run', '--json', '--detach', '--cpus', '1', '--memory', '512', ...flags, '--', 'sh', '-c', script]);
    assert.equal(started.code, 0, started.stderr);
    return JSON.parse(started.stdout).id as number;
  };
  const begun = (id: number) => until('its first line', async () => (await nimbus.lines(id)).some((line) => line.text === 'begun'));

  test('a job whose VM is killed runs again, one try spent', async () => {
    const id = await detached('echo begun; sleep 5');
    await begun(id);
    for (const pid of monitors(nimbus.data)) process.kill(pid, 'SIGKILL');
    const job = await nimbus.finished(id, 120);
    assert.equal(job.state, 'succeeded', job.reason);
    assert.equal(job.tries, 2);
    assert.ok(job.transitions.some((step: { reason: string }) => /queued again: the VM ended: killed/.test(step.reason)), JSON.stringify(job.transitions));
  });

  test('a job without tries left whose VM is killed is lost, and says why', async () => {
    const id = await detached('echo begun; sleep 600', ['--retries', '0']);
    await begun(id);
    for (const pid of monitors(nimbus.data)) process.kill(pid, 'SIGKILL');
    const job = await nimbus.finished(id, 60);
    assert.equal(job.state, 'lost');
    assert.match(job.reason, /the VM ended: killed .*; no tries left \(1 of 1\)/);
  });

  test('a revoked agent of its own enrols anew at the next start', async () => {
    const [old] = (await nimbus.get('/api/v1/agents')).json.items;
    assert.equal((await nimbus.request('DELETE', `/api/v1/agents/${old.id}`)).status, 204);
    await until('the agent to say how it is enrolled again', async () => {
      const ready = await nimbus.get('/readyz');
      return ready.json.status === 'degraded' && /nimbus agent enroll/.test(ready.json.parts.agent.detail);
    });
    await nimbus.end();
    await nimbus.boot();
    const job = await nimbus.finished(await detached('true'), 120);
    assert.equal(job.state, 'succeeded', job.reason);
    assert.notEqual(job.agent, old.id);
  });
});
