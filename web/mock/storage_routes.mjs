// What jobs stored, as the mock tells it: a few hundred cache entries, some repositories, and nothing of it
// real. Deleting works until the mock ends.

const GIB = 2 ** 30;
const REPOS = ['assistant', 'retrieval', 'web'];
const FILES = ['npm-linux-x64', 'pnpm-store', 'ccache/objects', 'uv-cache', 'hf/models--qwen3-8b'];
const ORDERS = {
  newest: (a, b) => b.id - a.id,
  oldest: (a, b) => a.id - b.id,
  used: (a, b) => b.last_used_at.localeCompare(a.last_used_at),
  unused: (a, b) => a.last_used_at.localeCompare(b.last_used_at),
  largest: (a, b) => b.size_bytes - a.size_bytes,
  smallest: (a, b) => a.size_bytes - b.size_bytes,
};

const hex = (seed) => (seed * 2_654_435_761).toString(16).padStart(16, '0').repeat(4).slice(0, 64);
const before = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();

function sampleEntry(id) {
  const isFork = id % 23 === 0;
  const repo = REPOS[id % REPOS.length];
  return {
    id,
    org: 'acme',
    repo,
    kind: id % 2 ? 'actions' : 'plain',
    ref: isFork ? 'refs/nimbus/fork/2/main' : 'refs/heads/main',
    key: `${FILES[id % FILES.length]}-${hex(id).slice(0, 8)}`,
    version: id % 2 ? hex(id + 1) : '',
    size_bytes: (id * 7919 * 4099) % 80_000_000,
    digest: `sha256:${hex(id)}`,
    created_at: before(9000 - id * 17),
    last_used_at: before((id * 37) % 5000),
    writer: {
      by: `job-${id}`,
      repo,
      ref: 'refs/heads/main',
      event: isFork ? 'pull_request' : 'push',
      trust: isFork ? 'fork' : 'branch',
    },
  };
}

function sampleTag(index) {
  return {
    tag: index === 0 ? 'latest' : `1.${40 - index}`,
    digest: `sha256:${hex(index + 900)}`,
    media_type: 'application/vnd.oci.image.index.v1+json',
    artifact_type: '',
    platforms: ['linux/amd64', 'linux/arm64'],
    bytes: 180_000_000 + index * 1_300_000,
    pushed_at: before(index * 700 + 5),
    pulled_at: index % 3 ? before(index * 60) : null,
  };
}

// A page of an array; the cursor is the number of rows before it.
function pageOf(rows, query) {
  const first = Number(query.get('cursor') ?? 0);
  const end = first + Number(query.get('limit') ?? 100);
  return { items: rows.slice(first, end), next_cursor: end < rows.length ? String(end) : null };
}

export function storageRoutes({ reply, Refusal, need }) {
  let entries = Array.from({ length: 400 }, (_, index) => sampleEntry(index + 1));
  let tags = Array.from({ length: 40 }, (_, index) => sampleTag(index));
  const names = REPOS.map((repo) => `acme/${repo}`);
  const bytesOf = (some) => some.reduce((sum, each) => sum + each.size_bytes, 0);
  const show = (repository) => ({
    repository,
    org: 'acme',
    tags: tags.length,
    manifests: tags.length,
    blobs: tags.length * 9,
    bytes: 2 * GIB,
    created_at: before(90_000),
    pushed_at: before(5),
    pulled_at: before(60),
  });
  const read = (answer) => (request, response, match, query) => {
    need(request, 'viewer');
    reply(response, 200, answer(query, match));
  };
  const list = (rows) => ({ items: rows, next_cursor: null });

  return {
    'GET /api/v1/caches': read((query) => {
      const fits = ({ org, repo, key }) =>
        (!query.get('org') || org === query.get('org')) &&
        (query.get('repo') === null || repo === query.get('repo')) &&
        key.startsWith(query.get('key') ?? '');
      const order = ORDERS[query.get('sort') ?? 'newest'];
      return pageOf(entries.filter(fits).sort(order), query);
    }),
    'GET /api/v1/caches/audit': read(() => list([])),
    'GET /api/v1/caches/org-usage': read(() => {
      const quota = { size_bytes_max: 20 * GIB, repo_size_bytes_max: null };
      return list([{ org: 'acme', size_bytes: bytesOf(entries), blobs: entries.length, ...quota }]);
    }),
    'GET /api/v1/caches/usage': read(() =>
      list(
        REPOS.map((repo) => {
          const own = entries.filter((each) => each.repo === repo);
          const count = own.length;
          return { org: 'acme', repo, size_bytes: bytesOf(own), blobs: count, entries: count };
        }),
      ),
    ),
    'DELETE /api/v1/caches/(\\d+)': (request, response, [id]) => {
      need(request, 'operator');
      entries = entries.filter((each) => each.id !== Number(id));
      reply(response, 204);
    },
    'GET /api/v1/artifacts': read(() => list([])),
    'GET /api/v1/repositories': read(() => list(names.map(show))),
    'GET /api/v1/repository-usage': read(() => {
      const quota = { bytes_max: 100 * GIB, repository_bytes_max: null };
      return list([{ org: 'acme', bytes: 6 * GIB, blobs: 900, ...quota }]);
    }),
    'GET /api/v1/repositories/(acme/\\w+)': read((_query, [name]) => {
      if (!names.includes(name)) throw new Refusal(404, 'no such repository');
      return show(name);
    }),
    'GET /api/v1/repository-tags': read((query) => pageOf(tags, query)),
    'GET /api/v1/repository-manifests': read((query) =>
      pageOf(
        tags.map(({ tag, ...rest }) => ({ ...rest, tags: [tag], subject: null })),
        query,
      ),
    ),
    'DELETE /api/v1/repositories/(acme/\\w+)': (request, response, [repository], query) => {
      need(request, 'operator');
      tags = tags.filter(({ tag }) => tag !== query.get('tag'));
      reply(response, 200, { repository, tags: 1, manifests: 0, blobs: 0 });
    },
  };
}
