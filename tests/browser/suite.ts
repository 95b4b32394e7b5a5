// One server, one browser and one played agent for the tests of a file.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, type TestContext } from 'node:test';
import type { Browser } from 'playwright-core';
import { Agent } from './agent.ts';
import { launch, signIn, type Visit, visit } from './browser.ts';
import { Server, skip } from './server.ts';

export interface Suite {
  server: Server;
  browser: Browser;
  agent: Agent;
  open: (path: string, options?: Parameters<typeof visit>[1]) => Promise<Visit>;
}

export function useSuite(): Suite {
  const suite = {} as Suite;
  before(async () => {
    if (skip) return;
    suite.server = await Server.start();
    suite.browser = await launch();
    suite.agent = await Agent.enroll(suite.server, 'played-agent');
    suite.open = async (path, options) => {
      const opened = await visit(suite.browser, options);
      await signIn(opened.page, suite.server, path);
      return opened;
    };
  });
  // A failed test leaves pictures of its pages behind, and none of its pages.
  afterEach(async (test) => {
    const { passed } = test as TestContext & { passed: boolean };
    for (const context of suite.browser?.contexts() ?? []) {
      if (!passed) {
        const folder = await mkdtemp(path.join(tmpdir(), 'nimbus-browser-failed-'));
        for (const [index, page] of context.pages().entries()) {
          const file = path.join(folder, `page-${index + 1}.png`);
          await page.screenshot({ path: file }).catch(() => {});
          (test as TestContext).diagnostic(`what the page showed: ${file} (${page.url()})`);
        }
      }
      await context.close();
    }
  });
  after(async () => {
    await suite.browser?.close();
    await suite.server?.remove();
  });
  return suite;
}
