import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindOf, mirrored } from './kind.ts';

test('a manifest is called what it is', () => {
  const of = (media: string, artifact_type: string) =>
    kindOf({ media_type: `application/vnd.${media}+json`, artifact_type });
  assert.equal(of('oci.image.index.v1', ''), 'index');
  assert.equal(of('docker.distribution.manifest.list.v2', ''), 'index');
  const manifest = 'oci.image.manifest.v1';
  assert.equal(of(manifest, 'application/vnd.oci.image.config.v1+json'), 'image');
  assert.equal(of(manifest, ''), 'image');
  assert.equal(of(manifest, 'application/vnd.oci.empty.v1+json'), 'artifact');
  assert.equal(of(manifest, 'application/vnd.cncf.helm.config.v1+json'), 'cncf.helm.config.v1');
});

test('a mirrored repository is its mirror’s and has a name there', () => {
  assert.deepEqual(mirrored('mirror:hub/library/alpine'), {
    mirror: 'hub',
    name: 'library/alpine',
  });
});
