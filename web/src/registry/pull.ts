// How a person at a terminal pulls what this server has.
export const pullCommand = (repository: string, tag: string): string =>
  `docker pull ${window.location.host}/${repository}:${tag}`;
