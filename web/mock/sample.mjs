// A plausible week of jobs, agents and eval results, and one job that goes on writing.

const REPOS = [
  ['acme', 'assistant'],
  ['acme', 'retrieval'],
  ['acme', 'web'],
  ['globex', 'ranker'],
  ['globex', 'speech'],
  ['initech', 'summaries'],
];
const WORK = [
  ['unit tests', ['sh', '-c', 'pnpm install --frozen-lockfile && pnpm test']],
  ['eval: answers', ['python', '-m', 'evals', 'run', 'suites/answers.yaml', '--model', 'qwen3-8b']],
  [
    'eval: tool calls',
    ['python', '-m', 'evals', 'run', 'suites/tools.yaml', '--model', 'llama3.1-8b'],
  ],
  ['build image', ['sh', '-c', 'docker build -t app . && docker push registry/app']],
  ['lint', ['make', 'lint']],
  ['eval: safety', ['node', 'evals/safety.mjs', '--cases', '400']],
];
const ENDS = [
  ['succeeded', 0, ''],
  ['succeeded', 0, ''],
  ['succeeded', 0, ''],
  ['succeeded', 0, ''],
  ['failed', 1, 'exit code 1'],
  ['failed', 137, 'out of memory'],
  ['cancelled', null, 'cancelled'],
  ['timed_out', null, 'timed out after 3600 s'],
  ['lost', null, 'the lease ran out: agent runner-03 was not heard from'],
];
const BRANCHES = ['main', 'main', 'faster-retrieval', 'pull/214', 'tokenizer-fix'];

// The same numbers every time.
function* numbers(seed) {
  for (let state = seed; ; ) {
    state = (state * 1103515245 + 12345) % 2147483648;
    yield state / 2147483648;
  }
}

export function fillSample(store, count) {
  const source = numbers(7);
  const random = () => source.next().value;
  const pick = (list) => list[Math.floor(random() * list.length)];
  const start = Date.now() - count * 45_000;
  const iso = (ms) => new Date(ms).toISOString();
  const runner = ['agent-5f02c91ab4d3', 'agent-a81c04e27f95'];

  for (let index = 0; index < count; index += 1) {
    const [org, repo] = pick(REPOS);
    const [name, command] = pick(WORK);
    const branch = pick(BRANCHES);
    const at = start + index * 45_000;
    const isEval = name.startsWith('eval');
    const job = store.createJob(
      {
        org,
        repo,
        command,
        ref: branch.startsWith('pull') ? `refs/${branch}/merge` : `refs/heads/${branch}`,
        sha: Math.floor(random() * 2 ** 48)
          .toString(16)
          .padStart(12, '0')
          .repeat(4)
          .slice(0, 40),
        image: isEval ? 'nimbus/ai-eval-runner' : 'nimbus/base',
        profile: 'nimbus',
        labels: isEval ? ['nimbus', 'eval', 'cpu-4'] : ['nimbus'],
        metadata: isEval ? { model: 'qwen3-8b', suite: name.slice(6) } : {},
        env: isEval ? { EVAL_SEED: '7', PYTHONUNBUFFERED: '1' } : { CI: 'true' },
        github: {
          job_id: 41_000_000_000 + index,
          run_id: 12_000_000_000 + Math.floor(index / 4),
          run_attempt: 1,
          installation_id: 5512,
          workflow_name: isEval ? 'Evals' : 'CI',
          job_name: name,
          html_url: `https://github.com/${org}/${repo}/actions/runs/${12_000_000_000 + Math.floor(index / 4)}`,
        },
      },
      iso(at),
    );
    if (index >= count - 3) continue;
    store.move(job, 'leased', { agent: pick(runner) }, iso(at + 400 + random() * 900));
    store.move(job, 'running', {}, iso(at + 1500 + random() * 900));
    if (index >= count - 6) continue;
    const [state, exit_code, reason] = pick(ENDS);
    store.move(job, state, { exit_code, reason }, iso(at + 4000 + random() * 300_000));
    if (isEval && index > count - 400) store.evals.set(job.id, evalRun(job, random));
    if (index > count - 200) store.addLines(job, job.fence, pastLog(job, random));
  }
  const waiting = store.job(count);
  if (waiting) waiting.reason = 'held: org acme is at its limit of 20 concurrent jobs';
  for (const [index, id] of runner.entries()) {
    const jobs = store.jobs
      .filter((job) => job.state === 'running' && job.agent === id)
      .map((job) => job.id);
    store.addAgent({
      id,
      name: `runner-0${index + 1}`,
      state: index === 0 ? 'online' : 'draining',
      slots: 8,
      slots_free: 8 - jobs.length,
      warm: 2,
      version: '0.1.0',
      vmm: index === 0 ? 'firecracker' : 'qemu',
      accel: index === 0 ? 'kvm' : 'tcg',
      cgroup: 'v2',
      enrolled_at: iso(start),
      last_seen_at: iso(Date.now() - 2000),
      jobs,
    });
  }
  store.health = {
    status: 'degraded',
    parts: {
      database: { status: 'ok' },
      telemetry: { status: 'starting', detail: 'the embedded engine is opening its tables' },
      agent: { status: 'ok', detail: '2 of 2 slots ready' },
    },
  };
  const live = store.jobs.findLast((job) => job.state === 'running' && job.metadata.suite);
  if (live) writeForever(store, live);
}

const ESC = '\u001b[';
const MODELS = ['qwen3-8b', 'llama3.1-8b'];

function evalRun(job, random) {
  const cases = 24;
  const detail = Array.from({ length: cases }, (_, index) => {
    const score = Math.min(1, 0.35 + random() * 0.8);
    return {
      case: `${job.metadata.suite}/${['capital cities', 'unit conversion', 'date arithmetic', 'long context'][index % 4]} ${index + 1}`,
      metric: 'exact match',
      model: MODELS[index % 2],
      score,
      passed: score > 0.6,
      label: score > 0.6 ? 'pass' : 'fail',
      input_tokens: 400 + Math.floor(random() * 2000),
      output_tokens: 30 + Math.floor(random() * 400),
      duration_ms: 300 + random() * 4000,
      error: index === 5 ? 'the model answered with an empty message' : null,
      trace_id: null,
      span_id: null,
    };
  });
  const sum = (name) => detail.reduce((total, each) => total + each[name], 0);
  return {
    job: job.id,
    org: job.org,
    repo: job.repo,
    suite: job.metadata.suite,
    run: `${job.id}`,
    cases,
    passed: detail.filter((each) => each.passed && !each.error).length,
    score_mean: sum('score') / cases,
    input_tokens: sum('input_tokens'),
    output_tokens: sum('output_tokens'),
    started_at: job.started_at,
    duration_s: sum('duration_ms') / 1000,
    models: MODELS,
    cases_detail: detail,
  };
}

function lineMaker(fromMs, random) {
  let seq = 0;
  let at = fromMs;
  return (text, stream = 'stdout') => {
    seq += 1;
    at += random() * 900;
    return { ts: new Date(at).toISOString(), seq, stream, text };
  };
}

function pastLog(job, random) {
  const line = lineMaker(Date.parse(job.started_at), random);
  const lines = [
    line(`job ${job.id} runs in image ${job.image}, 2 CPUs, 2048 MiB`, 'system'),
    line(`${ESC}1m$ ${job.command.join(' ')}${ESC}0m`),
    line(`${ESC}36minfo${ESC}0m  suite: 24 cases, seed 7, 2 models`),
    line('warning: tokenizer cache is empty, downloading', 'stderr'),
  ];
  for (let index = 1; index <= 60; index += 1) lines.push(line(caseLine(index, random)));
  lines.push(
    line(''),
    line(
      `${ESC}1mscore 0.812${ESC}0m  ${ESC}32m51 passed${ESC}0m, ${ESC}31m9 failed${ESC}0m in 62.4 s`,
    ),
  );
  if (job.exit_code) lines.push(line(`error: 9 cases are below the threshold of 0.6`, 'stderr'));
  lines.push(line(job.reason || 'exit code 0', 'system'));
  return lines;
}

function caseLine(index, random) {
  const score = Math.min(1, 0.35 + random() * 0.8);
  const mark = score > 0.6 ? `${ESC}32m✓${ESC}0m` : `${ESC}31m✗${ESC}0m`;
  const name = [
    'capital cities',
    'unit conversion',
    'date arithmetic',
    'long context',
    'tool choice',
  ][index % 5];
  const tokens = 200 + Math.floor(random() * 900);
  return `${mark} case ${String(index).padStart(3)}  ${name.padEnd(16)} ${ESC}2mqwen3-8b${ESC}0m  score ${score.toFixed(2)}  ${tokens} tokens  ${(random() * 4).toFixed(2)} s`;
}

function writeForever(store, job) {
  const source = numbers(11);
  const random = () => source.next().value;
  store.addLines(job, job.fence, pastLog(job, random).slice(0, -3));
  let seq = job.log.last_seq;
  setInterval(() => {
    seq += 1;
    store.addLines(job, job.fence, [
      { ts: new Date().toISOString(), seq, stream: 'stdout', text: caseLine(seq, random) },
    ]);
  }, 700).unref();
}
