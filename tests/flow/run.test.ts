// Jobs in real microVMs, through the whole program.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { canBoot, Nimbus, queued, until } from './nimbus.ts';

describe('jobs in microVMs', { skip: canBoot() }, () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start({
      agent: true,
      config: '[agent]\nslots = 2\n[profiles.nimbus]\nimage = "nimbus/base"\nentry = ["sh", "-c", "echo model=$NIMBUS_PARAM_MODEL; uname -r"]\ncpus = 1\nmemory_mb = 512\n',
    });
  });
  after(() => nimbus.stop());

  const run = (script: string, flags: string[] = []) =>
    nimbus.cli(['run', '--cpus', '1', '--memory', '512', ...flags, '--', 'sh', '-c', script]);
  const detached = async (script: string, flags: string[] = []) => {
    const started = await nimbus.cli(['run', '--json', '--detach', '--cpus', '1', '--memory', '512', ...flags, '--', 'sh', '-c', script]);
    assert.equal(started.code, 0, started.stderr);
    return JSON.parse(started.stdout).id as number;
  };

  test('nimbus run prints the output and exits with the status of the job', async () => {
    const result = await run('echo $((6*7)); exit 7');
    assert.equal(result.stdout, '42\n');
    assert.equal(result.code, 7, result.stderr);
  });

  test('standard error goes to standard error', async () => {
    const result = await run('echo out; echo err >&2');
    assert.equal(result.stdout, 'out\n');
    assert.match(result.stderr, /^err$/m);
    assert.equal(result.code, 0);
  });

  test('the job is user runner in its work folder, and sees what the contract promises', async () => {
    const result = await run('id -un; pwd; echo $CI $NIMBUS_ORG/$NIMBUS_REPO $NIMBUS_GATEWAY; getent hosts gateway.nimbus', ['--org', 'acme', '--repo', 'app']);
    assert.deepEqual(result.stdout.trim().split(/\s*\n/).slice(0, 3), ['runner', '/home/runner/work', 'true acme/app http://169.254.169.254']);
    assert.match(result.stdout, /169\.254\.169\.254\s+gateway\.nimbus/);
  });

  test('a job printing 200,000 lines loses none and keeps their order', async () => {
    const id = await detached('seq 1 200000');
    const job = await nimbus.finished(id, 240);
    assert.equal(job.state, 'succeeded', job.reason);
    const out = (await nimbus.lines(id)).filter((line) => line.stream === 'stdout');
    assert.equal(out.length, 200_000);
    out.forEach((line, index) => assert.equal(line.text, `${index + 1}`));
  });

  test('a job past its timeout is timed_out', async () => {
    const id = await detached('echo begun; sleep 600', ['--timeout', '3']);
    const job = await nimbus.finished(id);
    assert.equal(job.state, 'timed_out');
    assert.match(job.reason, /timed out after 3 s/);
  });

  test('a fork bomb does not outlive its time limit', async () => {
    const id = await detached('bomb() { bomb | bomb & }; bomb; while :; do bomb; done', ['--timeout', '3']);
    const job = await nimbus.finished(id);
    assert.equal(job.state, 'timed_out', job.reason);
    assert.match(job.reason, /timed out after 3 s/);
  });

  test('a job for an image that is nowhere fails at once and says how to get it', async () => {
    const job = await nimbus.finished(await detached('true', ['--image', 'acme/nowhere:1']));
    assert.equal(job.state, 'failed');
    assert.match(job.reason, /no image `acme\/nowhere:1` on this host; import it with `nimbus image import FILE`/);
    assert.equal(job.tries, 1);
  });

  test('a cancelled job stops within seconds and its log says why', async () => {
    const id = await detached('echo begun; sleep 600');
    await until('its first line', async () => (await nimbus.lines(id)).some((line) => line.text === 'begun'));
    assert.equal((await nimbus.cli(['job', 'cancel', `${id}`])).code, 0);
    const job = await nimbus.finished(id, 15);
    assert.equal(job.state, 'cancelled');
    assert.ok((await nimbus.lines(id)).some((line) => line.stream === 'system' && /cancel/.test(line.text)));
  });

  test('death by a signal is told from an exit', async () => {
    const job = await nimbus.finished(await detached('kill -9 $$'));
    assert.equal(job.state, 'failed');
    assert.match(job.reason, /killed by signal 9 \(SIGKILL\)/);
    assert.equal((await run('kill -15 $$')).code, 128 + 15);
  });

  test('running out of memory is told from other failures', async () => {
    const id = await detached('exec tail /dev/zero');
    const job = await nimbus.finished(id, 120);
    assert.equal(job.state, 'failed');
    assert.match(job.reason, /out of memory/);
  });

  test('binary output arrives as text, and a line without an end arrives', async () => {
    const id = await detached("printf 'a\\377b\\n'; printf 'no end'");
    await nimbus.finished(id);
    const texts = (await nimbus.lines(id)).filter((line) => line.stream === 'stdout').map((line) => line.text);
    assert.deepEqual(texts, ['a\ufffdb', 'no end']);
  });

  test('two jobs at once cannot see each other, nor the ports of the host', async () => {
    const probe = `
      curl -s -o /dev/null -m 5 http://169.254.169.254/ && echo reached the gateway
      for port in 22 8080 ${nimbus.port}; do
        curl -s -m 2 http://169.254.169.254:$port/ >/dev/null && echo "reached gateway address port $port"
        for host in 127.0.0.1 10.0.0.1 172.17.0.1 192.168.0.1 100.64.0.1 100.64.0.2; do
          curl -s -m 1 http://$host:$port/ >/dev/null && echo "reached $host:$port"
        done
      done
      echo done`;
    const ids = await Promise.all([detached(probe), detached(probe)]);
    for (const id of ids) {
      const job = await nimbus.finished(id, 180);
      const texts = (await nimbus.lines(id)).filter((line) => line.stream === 'stdout').map((line) => line.text);
      assert.equal(job.state, 'succeeded', job.reason);
      assert.deepEqual(texts, ['reached the gateway', 'done']);
    }
  });

  test('what one job leaves behind the next does not find', async () => {
    await run('echo marker > /home/runner/work/marker; sudo sh -c "echo marker > /etc/marker"');
    const result = await run('ls /home/runner/work/marker /etc/marker 2>/dev/null | wc -l');
    assert.equal(result.stdout.trim(), '0');
  });

  test('a signed webhook runs the profile of its label, with its parameters', async () => {
    const answer = await nimbus.deliver(queued(['nimbus', 'param:model=tiny']));
    const job = await nimbus.finished(answer.json.job);
    assert.equal(job.state, 'succeeded', job.reason);
    const texts = (await nimbus.lines(answer.json.job)).map((line) => line.text);
    assert.ok(texts.includes('model=tiny'), texts.join('\n'));
  });
});

describe('SIGTERM while a job boots', { skip: canBoot() }, () => {
  test('gives the job back, and it runs at the next start with all of its tries', async () => {
    const nimbus = await Nimbus.start({ agent: true, config: '[agent]\nslots = 1\n' });
    try {
      const started = await nimbus.cli(['run', '--json', '--detach', '--cpus', '1', '--memory', '512', '--', 'true']);
      const id = JSON.parse(started.stdout).id;
      await until('the job to be leased', async () => (await nimbus.job(id)).state === 'leased');
      assert.equal(await nimbus.end(), 0);
      await nimbus.boot();
      const job = await nimbus.finished(id, 120);
      assert.equal(job.state, 'succeeded', job.reason);
      assert.equal(job.tries, 1);
    } finally {
      await nimbus.stop();
    }
  });
});

describe('kill -9 of nimbus while a job runs', { skip: canBoot() }, () => {
  test('leaves nothing behind after restart, and the job ends in a truthful state', async () => {
    const nimbus = await Nimbus.start({ agent: true, config: '[agent]\nslots = 1\n[control]\nlease_ttl_s = 10\n' });
    try {
      const started = await nimbus.cli(['run', '--json', '--detach', '--cpus', '1', '--memory', '512', '--', 'sh', '-c', 'echo begun; sleep 8; echo over']);
      const id = JSON.parse(started.stdout).id;
      await until('its first line', async () => (await nimbus.lines(id)).some((line) => line.text === 'begun'));
      await nimbus.end('SIGKILL');
      await nimbus.boot();
      const job = await nimbus.finished(id, 120);
      assert.ok(['succeeded', 'lost', 'failed'].includes(job.state), job.state);
      if (job.state === 'succeeded') assert.ok((await nimbus.lines(id)).some((line) => line.text === 'over'));
    } finally {
      await nimbus.stop();
    }
  });
});
