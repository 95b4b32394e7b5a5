import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { skip } from './server.ts';
import { useSuite } from './suite.ts';
import { Images } from './uploads.ts';

const suite = useSuite();

interface Finding {
  id: string;
  help: string;
  nodes: { html: string; failureSummary: string }[];
}

// Deque's rules for WCAG 2.2 A and AA, run inside the page.
async function findings(page: Page): Promise<string[]> {
  const source = await readFile(
    createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
    'utf8',
  );
  await page.evaluate(source);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run: (options: object) => Promise<{ violations: Finding[] }> };
    };
    const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return (await axe.run({ runOnly })).violations;
  });
  return found.map(({ id, help, nodes }) => {
    const first = `${nodes[0]?.html}\n${nodes[0]?.failureSummary}`;
    return `${id}: ${help} (${nodes.length} places)\n${first}`;
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`every page keeps the accessibility rules in ${colorScheme}`, { skip }, async () => {
    const esc = '\u001b[';
    const execution = await suite.agent.run({
      labels: ['nimbus', 'gpu'],
      metadata: { model: 'qwen' },
    });
    const colors = Array.from({ length: 8 }, (_, color) => [
      `${esc}3${color}mcolour ${color}${esc}0m ${esc}9${color}mbright ${color}${esc}0m`,
      `${esc}4${color}mon ${color}${esc}0m ${esc}7;3${color}minverse ${color}${esc}0m`,
    ]).flat();
    await execution.write(
      ['starts', 'system'],
      ['oops', 'stderr'],
      `${esc}7minverse${esc}0m`,
      ...colors,
    );
    await execution.cache('npm-linux-1', 1_000_000);
    await execution.artifact('coverage', Buffer.from('PK'));
    await execution.finish('failed', { exit_code: 1, reason: 'exit code 1' });
    await new Images(suite.server, 'acme/app').pushIndex('1.0', ['amd64', 'arm64']);
    const { page, close } = await suite.open('/jobs', { colorScheme });
    const problems: string[] = [];
    const check = async (path: string, shown: string) => {
      await page.goto(suite.server.url + path);
      await page.getByText(shown).first().waitFor();
      for (const problem of await findings(page)) problems.push(`${path}: ${problem}`);
    };
    await check('/jobs', 'echo hello');
    await check(`/jobs/${execution.job}#L2`, 'oops');
    await page.getByRole('button', { name: 'Run again' }).click();
    problems.push(...(await findings(page)));
    await check('/agents', 'played-agent');
    await check('/evals', 'No eval results yet');
    await check('/cache', 'npm-linux-1');
    await page.getByRole('button', { name: 'npm-linux-1', exact: true }).click();
    problems.push(...(await findings(page)));
    await check('/registry', 'acme/app');
    await check('/registry/acme/app', 'linux/amd64');
    await page.getByRole('button', { name: 'Delete the tag 1.0' }).click();
    problems.push(...(await findings(page)));
    await check('/registry/acme/app?tab=manifests', 'untagged');
    await check('/health', 'Database');
    await check('/nowhere', 'no such page');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token', { exact: true }).waitFor();
    problems.push(...(await findings(page)));
    assert.deepEqual(problems, []);
    await close();
  });
}
