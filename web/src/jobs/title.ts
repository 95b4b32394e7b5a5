import type { Job } from '../api/types.ts';
import { commandLine } from '../format.ts';

// What a person calls the job: its name in the workflow, or the command it runs.
export function jobTitle(job: Job): string {
  const github = job.github?.job_name;
  if (github) return github;
  const [shell, flag, script] = job.command;
  const isScript =
    job.command.length === 3 && /(^|\/)(ba)?sh$/.test(shell ?? '') && /^-\w*c$/.test(flag ?? '');
  const text = isScript && script ? script : commandLine(job.command);
  return text.trim().replace(/\s+/g, ' ').slice(0, 300) || `Job ${job.id}`;
}
