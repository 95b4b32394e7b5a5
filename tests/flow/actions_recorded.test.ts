// What GitHub's clients sent when they were recorded (tests/golden/actions), sent again: each request gets
// the status that its client went on with.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { jobToken } from './actions.ts';
import { Nimbus, root } from './nimbus.ts';

interface Exchange {
  request: { method: string; target: string; headers: Record<string, string>; body?: unknown };
  response: { status: number; body?: unknown };
}

// Answers that a server gives by choice, or for reasons that were made up for the recording.
const notOurs = /over cap|denied|rate limited|200 ok=false|lists caches|create conflict/;

const linkFields = ['signed_upload_url', 'signed_download_url', 'signed_url', 'archiveLocation'];
const idFields = ['artifact_id', 'entry_id', 'cacheId', 'database_id'];

/** One client's recording, played against a server whose URLs and numbers are others. */
class Player {
  private readonly links = new Map<string, string>();
  private readonly ids = new Map<string, string>();
  private readonly blocks = new Map<string, Buffer>();
  private uploaded = Buffer.alloc(0);
  private readonly nimbus: Nimbus;
  private readonly token: string;

  constructor(nimbus: Nimbus, token: string) {
    this.nimbus = nimbus;
    this.token = token;
  }

  private target(recorded: string): string {
    const url = new URL(recorded, 'http://recorded');
    const link = this.links.get(url.pathname);
    if (!link) return recorded.replace('/org1/', '/').replace(/caches\/(\d+)/, (_, id) => `caches/${this.ids.get(id) ?? id}`);
    for (const own of ['se', 'sig', 'sp', 'name']) url.searchParams.delete(own);
    const more = url.searchParams.toString();
    return link + (more ? `&${more}` : '');
  }

  private body(request: Exchange['request'], target: string): Buffer | string | undefined {
    const { body } = request;
    const size = typeof body === 'string' ? /^<(\d+) bytes>$/.exec(body)?.[1] : undefined;
    if (size !== undefined) {
      const bytes = Buffer.alloc(Number(size), createHash('sha256').update(`${size} ${target}`).digest());
      const block = new URL(target, 'http://own').searchParams.get('blockid');
      if (block) this.blocks.set(block, bytes);
      else this.uploaded = bytes;
      return bytes;
    }
    if (typeof body === 'string') {
      const list = [...body.matchAll(/<Latest>([^<]*)<\/Latest>/g)].map(([, id]) => this.blocks.get(id) as Buffer);
      if (list.length > 0) this.uploaded = Buffer.concat(list);
      return body;
    }
    if (body === undefined || body === null) return undefined;
    const fields = { ...(body as Record<string, unknown>) };
    if (fields.hash) fields.hash = `sha256:${createHash('sha256').update(this.uploaded).digest('hex')}`;
    if (fields.id_filter) fields.id_filter = this.ids.get(`${fields.id_filter}`) ?? fields.id_filter;
    if (fields.expires_at) fields.expires_at = new Date(Date.now() + 86_400_000).toISOString();
    return JSON.stringify(fields);
  }

  // What is named in the recorded answer is named in ours, under numbers and addresses of its own.
  private learn(recorded: unknown, ours: unknown, where: string): void {
    if (Array.isArray(recorded)) {
      assert.ok(Array.isArray(ours), where);
      recorded.forEach((item, index) => this.learn(item, ours[index] ?? ours[0], where));
      return;
    }
    if (typeof recorded !== 'object' || recorded === null) return;
    for (const [field, value] of Object.entries(recorded)) {
      if (!value) continue;
      const own = (ours as Record<string, unknown>)?.[field];
      assert.ok(own !== undefined, `${where}: the answer has no ${field}`);
      if (linkFields.includes(field)) {
        const link = new URL(own as string);
        this.links.set(new URL(value as string).pathname, link.pathname + link.search);
      } else if (idFields.includes(field)) this.ids.set(`${value}`, `${own}`);
      else if (typeof value === 'object') this.learn(value, own, where);
    }
  }

  async play({ request, response }: Exchange, where: string): Promise<void> {
    const target = this.target(request.target);
    const headers: Record<string, string> = { ...request.headers };
    for (const field of ['host', 'content-length', 'transfer-encoding', 'authorization', 'connection']) delete headers[field];
    const token = request.headers.authorization ? this.token : null;
    const answer = await this.nimbus.request(request.method, target, { body: this.body(request, target), headers, token });
    assert.equal(answer.status, response.status, `${where}: ${request.method} ${target}: ${answer.text.slice(0, 300)}`);
    if (typeof response.body === 'object') this.learn(response.body, answer.json, where);
    const size = typeof response.body === 'string' ? /^<(\d+) bytes>$/.exec(response.body)?.[1] : undefined;
    if (size) assert.equal(answer.headers['content-length'], size, where);
  }
}

describe('recorded requests of the Actions clients', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  for (const [file, standing] of Object.entries({
    'cache-v1': { repo: 'recorded-v1' },
    'cache-v2': { repo: 'recorded-v2' },
    'artifact-v4': { repo: 'recorded-artifacts', run: 'ce7f54c7-61c7-4aae-887f-30da475f5f1a' },
  })) {
    test(file, async () => {
      const recording = JSON.parse(readFileSync(path.join(root, `tests/golden/actions/${file}.json`), 'utf8'));
      const player = new Player(nimbus, jobToken(nimbus, standing));
      let played = 0;
      for (const { scenario, exchanges } of recording.scenarios) {
        if (notOurs.test(scenario)) continue;
        for (const exchange of exchanges) await player.play(exchange, scenario);
        played++;
      }
      assert.ok(played >= 5, `${played} scenarios`);
    });
  }
});
