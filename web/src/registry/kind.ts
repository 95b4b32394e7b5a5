// What a manifest is, in words. Pure.

import type { RepositoryTag } from '../api/types.ts';

const IMAGE_CONFIGS = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);
const EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json';

type What = Pick<RepositoryTag, 'media_type' | 'artifact_type'>;

export function kindOf({ media_type, artifact_type }: What): string {
  if (media_type.includes('index') || media_type.includes('manifest.list')) {
    return artifact_type || 'index';
  }
  if (!artifact_type || IMAGE_CONFIGS.has(artifact_type)) return 'image';
  if (artifact_type === EMPTY_CONFIG) return 'artifact';
  return artifact_type.replace(/^application\/(vnd\.)?/, '').replace(/\+(json|gzip)$/, '');
}

const MIRROR = 'mirror:';

export const isMirrored = (repository: string): boolean => repository.startsWith(MIRROR);

// mirror:hub/library/alpine → library/alpine, of the mirror hub
export function mirrored(repository: string): { mirror: string; name: string } {
  const rest = repository.slice(MIRROR.length);
  const slash = rest.indexOf('/');
  return { mirror: slash < 0 ? rest : rest.slice(0, slash), name: rest.slice(slash + 1) };
}
