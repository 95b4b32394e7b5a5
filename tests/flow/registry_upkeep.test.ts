// What the registry does by itself: collection beside pushes, retention, last uses and usage, the
// command line, and mirrors of another registry.
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Nimbus, until } from './nimbus.ts';
import { blobOf, digestOf, Repository, tokenOf, withDigest } from './registry.ts';

describe('collection and retention', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start({
      config: '[registry]\nblob_grace_s = 1\nsweep_interval_s = 1\n[registry.retention.kept]\nrepositories = "acme/kept"\nkeep_newest = 2\nkeep_tags = "v*"\n',
    });
  });
  after(() => nimbus.stop());

  test('a blob nothing refers to goes, and its bytes are the org’s again; one in use stays', async () => {
    const repository = new Repository(nimbus, 'acme/collected');
    const image = await repository.image({ tag: 'v1' });
    const orphan = await repository.push(blobOf(50_000));
    const used = async () => (await nimbus.get('/api/v1/repository-usage?org=acme')).json.items[0].bytes as number;
    const before = await used();
    await until('the orphan to go', async () => (await used()) === before - 50_000);
    assert.equal((await repository.ask('GET', `blobs/${orphan}`)).status, 404);
    for (const layer of image.layers) assert.equal((await repository.ask('GET', `blobs/${layer.digest}`)).status, 200);
  });

  test('pushes that go on while it is collected lose nothing', async () => {
    const push = async (worker: number) => {
      const repository = new Repository(nimbus, 'acme/busy');
      for (let i = 0; i < 15; i++) {
        const image = await repository.image({ tag: `w${worker}`, layers: 1 });
        assert.equal((await repository.ask('GET', `blobs/${image.layers[0].digest}`)).status, 200);
      }
    };
    await Promise.all([1, 2, 3, 4].map(push));
    const repository = new Repository(nimbus, 'acme/busy');
    for (const worker of [1, 2, 3, 4]) {
      const manifest = await repository.ask('GET', `manifests/w${worker}`);
      assert.equal(manifest.status, 200);
      for (const layer of manifest.json.layers) assert.equal((await repository.ask('GET', `blobs/${layer.digest}`)).status, 200);
    }
  });

  test('an upload that takes longer than the grace time is not collected', async () => {
    const repository = new Repository(nimbus, 'acme/slow');
    const bytes = blobOf(10_000);
    const path = await repository.begin();
    await repository.ask('PATCH', path, { body: bytes.subarray(0, 5000) });
    const marker = await repository.push(blobOf(10));
    await until('a sweep to have passed', async () => (await repository.ask('GET', `manifests/${marker}`)).status === 404 && (await nimbus.get('/api/v1/repositories?org=acme')).json.items.every((one: { repository: string; blobs: number }) => one.repository !== 'acme/slow' || one.blobs === 0));
    await repository.ask('PATCH', path, { body: bytes.subarray(5000) });
    const done = await repository.ask('PUT', withDigest(path, digestOf(bytes)));
    assert.equal(done.status, 201, done.body.toString());
    assert.ok((await repository.ask('GET', `blobs/${digestOf(bytes)}`)).body.equals(bytes));
  });

  test('a rule keeps the newest tags and those of its pattern', async () => {
    const repository = new Repository(nimbus, 'acme/kept');
    for (const tag of ['v1', 'a', 'b', 'c', 'd']) await repository.image({ tag, layers: 0 });
    await until('the old tags to go', async () => (await repository.ask('GET', 'tags/list')).json.tags.join() === 'c,d,v1');
  });
});

describe('what operators see', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  test('repositories with size and last use, by API and command line', async () => {
    const repository = new Repository(nimbus, 'acme/app');
    const image = await repository.image({ tag: 'v1', layers: 2, size: 1000 });
    await new Repository(nimbus, 'other/app').image({ tag: 'v1' });
    await repository.ask('GET', 'manifests/v1');
    const shown = await until('the pull to be noted', async () => {
      const listed = JSON.parse((await nimbus.cli(['repository', 'list', '--org', 'acme', '--json'])).stdout).items;
      assert.equal(listed.length, 1);
      return listed[0].pulled_at && listed[0];
    });
    assert.equal(shown.repository, 'acme/app');
    assert.equal(shown.tags, 1);
    assert.equal(shown.manifests, 1);
    assert.equal(shown.blobs, 4);
    const config = JSON.parse(image.text).config.size;
    assert.equal(shown.bytes, 2000 + config + image.size);
    const usage = JSON.parse((await nimbus.cli(['repository', 'usage', '--json'])).stdout).items;
    assert.deepEqual(usage.map((one: { org: string }) => one.org).sort(), ['acme', 'other']);
    assert.match((await nimbus.cli(['repository', 'list'])).stdout, /REPOSITORY .*\n.*acme\/app/);
    const page = await nimbus.get('/api/v1/repositories?limit=1');
    assert.equal(page.json.items.length, 1);
    assert.equal((await nimbus.get(`/api/v1/repositories?limit=1&cursor=${encodeURIComponent(page.json.next_cursor)}`)).json.items[0].repository, 'other/app');
  });

  test('purging a tag, what no tag leads to, and all of it', async () => {
    const repository = new Repository(nimbus, 'acme/purged');
    const [one, two] = [await repository.image({ tag: 'v1' }), await repository.image({ tag: 'v2' })];
    const purge = async (...flags: string[]) => {
      const done = await nimbus.cli(['repository', 'purge', 'acme/purged', '--json', ...flags]);
      assert.equal(done.code, 0, done.stderr);
      return JSON.parse(done.stdout);
    };
    assert.equal((await purge('--tag', 'v1')).tags, 1);
    assert.equal((await repository.ask('GET', `manifests/${one.digest}`)).status, 200);
    assert.equal((await purge('--untagged')).manifests, 1);
    assert.equal((await repository.ask('GET', `manifests/${one.digest}`)).status, 404);
    assert.equal((await repository.ask('GET', `manifests/${two.digest}`)).status, 200);
    assert.equal((await purge()).tags, 1);
    assert.equal((await repository.ask('GET', 'tags/list')).status, 404);
    assert.equal((await nimbus.cli(['repository', 'purge', 'acme/purged'])).code, 1);
    assert.equal((await nimbus.request('DELETE', '/api/v1/repositories/acme/purged?taag=v1')).status, 400);
  });

  test('metrics and health tell of the registry', async () => {
    const metrics = (await nimbus.get('/metrics', { token: null })).text;
    for (const name of ['nimbus_registry_pulls_total', 'nimbus_registry_received_bytes_total', 'nimbus_registry_open_uploads']) assert.match(metrics, new RegExp(`^${name}`, 'm'));
    assert.equal((await nimbus.get('/readyz', { token: null })).json.parts.registry.status, 'ok');
  });
});

describe('a mirror of another registry', () => {
  let upstream: Nimbus;
  let mirror: Nimbus;
  let source: Repository;
  let door: http.Server;
  const asked: string[] = [];
  let broken: 'no' | 'down' | 'lying' = 'no';
  // Set: the next blob's second half, and whether it is the right one, waits for this.
  let half: Promise<'good' | 'rotten' | 'gone'> | undefined;

  before(async () => {
    upstream = await Nimbus.start();
    source = new Repository(upstream, 'library/tool');
    // Between the two: counts what the mirror asks for, and plays an upstream that fails.
    door = http.createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      if (broken === 'down') {
        response.writeHead(503).end();
        return;
      }
      const forwarded = http.request(upstream.url + request.url, { method: request.method, headers: request.headers }, (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece) => pieces.push(piece));
        answer.on('end', () => {
          let body = Buffer.concat(pieces);
          if (broken === 'lying' && /blobs|manifests/.test(request.url ?? '') && body.length) body = Buffer.from(body.toString('latin1').replace(/.$/s, '~'), 'latin1');
          response.writeHead(answer.statusCode ?? 500, answer.rawHeaders);
          if (half && /blobs/.test(request.url ?? '') && answer.statusCode === 200) {
            response.write(body.subarray(0, body.length / 2));
            const rest = Buffer.from(body.subarray(body.length / 2));
            void half.then((how) => {
              if (how === 'gone') return response.destroy();
              if (how === 'rotten') rest[0] ^= 1;
              return response.end(rest);
            });
            half = undefined;
          } else response.end(body);
        });
      });
      request.pipe(forwarded);
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
    const { mkdtempSync, writeFileSync } = await import('node:fs');
    const data = mkdtempSync('/tmp/nimbus-flow-');
    writeFileSync(`${data}/password`, await tokenOf(upstream, 'library', 'viewer'));
    mirror = await Nimbus.start({ data, config: `[registry.mirrors.up]\nupstream = "${url}"\nnamespace = "up.example"\nusername = "mirror"\npassword_file = "${data}/password"\ntag_ttl_s = 1\n` });
  });
  after(async () => {
    door.closeAllConnections();
    await new Promise((resolve) => door.close(resolve));
    await mirror.stop();
    await upstream.stop();
  });

  const pull = (target: string, token?: string) => new Repository(mirror, 'library/tool', token).ask('GET', `${target}?ns=up.example`);
  const asksFor = (what: string) => asked.filter((line) => line.includes(what)).length;

  test('fetches what it has not got, once, and keeps it', async () => {
    const image = await source.image({ tag: 'v1', size: 300_000 });
    const manifest = await pull('manifests/v1');
    assert.equal(manifest.status, 200, manifest.body.toString());
    assert.equal(manifest.body.toString(), image.text);
    assert.equal(manifest.headers['oci-namespace'], 'up.example');
    const blob = `blobs/${image.layers[0].digest}`;
    const replies = await Promise.all(Array.from({ length: 6 }, () => pull(blob)));
    for (const reply of replies) {
      assert.equal(reply.status, 200);
      assert.equal(digestOf(reply.body), image.layers[0].digest);
    }
    assert.equal((await pull(blob)).status, 200);
    const fetched = asked.filter((line) => line === `GET /v2/library/tool/${blob}`).length;
    assert.ok(fetched <= 2, `fetched ${fetched} times: once, after one challenge`);
    assert.equal((await pull(`manifests/${image.digest}`)).status, 200);
  });

  test('passes a large blob on while it comes, and breaks off what is not its digest’s', async () => {
    for (const how of ['good', 'rotten', 'gone'] as const) {
      const image = await source.image({ tag: how, size: 3_000_000 });
      const digest = image.layers[0].digest;
      let release: (how: 'good' | 'rotten' | 'gone') => void = () => {};
      half = new Promise((resolve) => (release = resolve));
      const target = `${mirror.url}/v2/library/tool/blobs/${digest}?ns=up.example`;
      const headers = { Authorization: `Bearer ${mirror.token}` };
      const answers = await Promise.all([fetch(target, { headers }), fetch(target, { headers })]);
      for (const answer of answers) {
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get('docker-content-digest'), digest);
      }
      const readers = answers.map((answer) => (answer.body as ReadableStream<Uint8Array>).getReader());
      const first = await Promise.all(readers.map((reader) => reader.read()));
      release(how);
      await Promise.all(readers.map(async (reader, index) => {
        const pieces = [Buffer.from(first[index].value as Uint8Array)];
        const rest = async () => {
          for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(Buffer.from(piece.value));
        };
        if (how !== 'good') return assert.rejects(rest(), how);
        await rest();
        return assert.equal(digestOf(Buffer.concat(pieces)), digest);
      }));
      if (how !== 'good') assert.equal(digestOf((await pull(`blobs/${digest}`)).body), digest, 'it is fetched anew');
    }
  });

  test('asks for a tag again, and follows when it moves', async () => {
    const moved = await source.image({ tag: 'v1' });
    await until('the tag to follow', async () => (await pull('manifests/v1')).body.toString() === moved.text);
    assert.ok(asksFor('HEAD /v2/library/tool/manifests/v1') > 0);
  });

  test('serves the last answer, with a warning, while the upstream is away', async () => {
    const image = await source.image({ tag: 'stale' });
    assert.equal((await pull('manifests/stale')).status, 200);
    broken = 'down';
    const reply = await until('the tag to need asking again', async () => {
      const answer = await pull('manifests/stale');
      return answer.headers.warning && answer;
    });
    assert.equal(reply.body.toString(), image.text);
    assert.equal((await pull('manifests/never')).status, 503);
    broken = 'no';
    await until('the upstream to be believed again', async () => !(await pull('manifests/stale')).headers.warning);
  });

  test('keeps nothing whose bytes are not its digest’s', async () => {
    const image = await source.image({ tag: 'lie' });
    broken = 'lying';
    assert.equal((await pull(`blobs/${image.layers[0].digest}`)).status, 503);
    assert.equal((await pull(`manifests/${image.digest}`)).status, 503);
    broken = 'no';
    const blob = await pull(`blobs/${image.layers[0].digest}`);
    assert.equal(digestOf(blob.body), image.layers[0].digest);
    assert.equal((await pull(`manifests/${image.digest}`)).status, 200);
  });

  test('what the upstream has not got is not there, and an unknown upstream is for the client', async () => {
    assert.equal((await pull('manifests/none')).status, 404);
    assert.equal((await pull(`blobs/${digestOf('none')}`)).status, 404);
    assert.equal((await new Repository(mirror, 'library/tool').ask('GET', 'manifests/v1?ns=hub.example')).status, 404);
    assert.equal((await new Repository(mirror, 'library/tool').ask('PUT', 'manifests/v1?ns=up.example', { body: '{}' })).status, 404);
  });

  test('shares no name with the org of the same name, and is everybody’s to read', async () => {
    assert.equal((await new Repository(mirror, 'library/tool').ask('GET', 'manifests/v1')).status, 404);
    assert.equal((await pull('manifests/v1', await tokenOf(mirror, 'acme', 'viewer'))).status, 200);
    assert.equal((await new Repository(mirror, 'library/tool').ask('GET', 'manifests/v1?ns=up.example', { token: null })).status, 401);
  });
});
