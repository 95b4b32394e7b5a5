// From a job's commit to the agent that waits for it: the time between the answer to POST /api/v1/jobs,
// which is sent once the job is durable, and the answer to the agent's long poll, which is sent once the
// lease is. The figure beside it begins when the job is asked for, so it has both commits and both
// HTTP exchanges in it.
import { Nimbus } from '../tests/flow/nimbus.ts';
import { quantile, report } from './report.ts';

const runs = 400;
const nimbus = await Nimbus.start({ config: '[server]\nlog_level = "warn"\n[limits]\njobs_per_minute = 1000000\nconcurrent_jobs = 1000000\n' });
try {
  const enrolled = await nimbus.post('/api/v1/agents/enrollments', {});
  const agent = (await nimbus.post('/api/v1/agents', { name: 'bench', slots: 1, version: '0', vmm: 'none', accel: 'none', cgroup: 'none' }, { token: enrolled.json.token })).json;
  const latencies: number[] = [], whole: number[] = [];
  for (let run = 0; run < runs; run++) {
    const waiting = nimbus.post(`/api/v1/agents/${agent.id}/assignments`, { slots_free: 1, wait_s: 30 }, { token: agent.credential }).then((answer) => ({ answer, at: performance.now() }));
    // The poll must be waiting before the job comes; a round trip on the same loop says it is.
    await nimbus.get('/healthz');
    await nimbus.get('/healthz');
    const from = performance.now();
    const created = await nimbus.post('/api/v1/jobs', { org: 'acme', repo: 'app', command: ['true'] });
    const committed = performance.now();
    const { answer, at } = await waiting;
    if (answer.status !== 200) throw new Error(`assignment: ${answer.status} ${answer.text}`);
    latencies.push(Math.max(0, at - committed));
    whole.push(at - from);
    const { fence } = answer.json.assignments[0];
    await nimbus.post(`/api/v1/jobs/${created.json.id}/events`, { fence, seq: 1, type: 'finished', result: 'succeeded', exit_code: 0 }, { token: agent.credential });
  }
  const p99 = quantile(latencies, 0.99);
  report({
    name: 'assignment-latency', unit: 'ms', ours: p99, reference: 10, reference_name: 'bound on p99', ratio: p99 / 10,
    aim: 1, better: 'lower', runs, also: { 'p50, ms (bound 2)': quantile(latencies, 0.5), 'from asking, p50, ms': quantile(whole, 0.5), 'from asking, p99, ms': quantile(whole, 0.99) },
  });
} finally {
  await nimbus.stop();
}
