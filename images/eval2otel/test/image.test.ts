// The image nimbus/ai-eval-runner as built: what its users import and call is there and works.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

const archive = path.resolve(import.meta.dirname, '../../../build/images/ai-eval-runner.oci.tar');
const skip = !existsSync(archive) ? 'no image: run make images' : process.getuid?.() !== 0 ? 'unpacking an image needs root' : false;

describe('the image ai-eval-runner', { skip }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nimbus-image-'));
  const tree = path.join(folder, 'tree');
  const json = (file: string) => JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
  const blob = (digest: string) => `blobs/sha256/${digest.slice('sha256:'.length)}`;

  before(() => {
    mkdirSync(tree);
    execFileSync('tar', ['-xf', archive, '-C', folder]);
    const manifest = json(blob(json('index.json').manifests[0].digest));
    for (const layer of manifest.layers) execFileSync('tar', ['--zstd', '-xpf', path.join(folder, blob(layer.digest)), '-C', tree]);
    execFileSync('mknod', ['-m', '666', path.join(tree, 'dev/null'), 'c', '1', '3']);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const asRunner = (command: string) =>
    execFileSync('/usr/sbin/chroot', ['--userspec=1000:1000', tree, '/bin/sh', '-c', `cd /home/runner/work && ${command}`], {
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/home/runner' },
      encoding: 'utf8',
    }).trim();
  const script = (name: string, text: string) => writeFileSync(path.join(tree, 'home/runner/work', name), text);

  test('says how to run: as runner, in its work folder', () => {
    const { config } = json(blob(json(blob(json('index.json').manifests[0].digest)).config.digest));
    assert.equal(config.User, 'runner');
    assert.equal(config.WorkingDir, '/home/runner/work');
  });

  test('eval2otel and ollama can be imported and required from any script', () => {
    script('a.mjs', "import { convertOllamaToEval2Otel } from 'eval2otel'; import { Ollama } from 'ollama'; console.log(typeof convertOllamaToEval2Otel, typeof Ollama);");
    script('b.cjs', "const { createEval2Otel } = require('eval2otel'); console.log(typeof createEval2Otel);");
    assert.equal(asRunner('node a.mjs'), 'function function');
    assert.equal(asRunner('node b.cjs'), 'function');
  });

  test('node, npm, git, curl and eval2otel-cli are on the path', () => {
    assert.match(asRunner('node --version'), /^v24\./);
    assert.match(asRunner('npm --version'), /^\d+\./);
    assert.match(asRunner('git --version && curl --version'), /git version.*curl/s);
    script('r.jsonl', '{"id":"a","timestamp":1,"model":"m","operation":"chat","request":{"model":"m"},"performance":{"duration":1}}\n');
    assert.match(asRunner('eval2otel-cli ingest --file r.jsonl --dry-run'), /"gen_ai.chat"/);
  });

  test('runner owns its home and may use sudo without a password', () => {
    assert.equal(asRunner('id -un && touch x && stat -c %U x'), 'runner\nrunner');
    const rule = readFileSync(path.join(tree, 'etc/sudoers.d/runner'), 'utf8');
    assert.match(rule, /^runner ALL=\(ALL:ALL\) NOPASSWD: ALL$/m);
    assert.equal(execFileSync('stat', ['-c', '%a %U', path.join(tree, 'etc/sudoers.d/runner')], { encoding: 'utf8' }).trim(), '440 root');
  });

  test('nothing of the building machine is in it', () => {
    for (const file of ['etc/hostname', 'etc/resolv.conf', 'var/log/dpkg.log', 'var/lib/apt/lists/lock']) assert.ok(!existsSync(path.join(tree, file)), file);
    assert.equal(readFileSync(path.join(tree, 'etc/machine-id'), 'utf8'), '');
  });
});
