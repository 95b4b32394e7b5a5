// One server, one browser and one played agent for the tests of a file.
import { after, before } from 'node:test';
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
  after(async () => {
    await suite.browser?.close();
    await suite.server?.remove();
  });
  return suite;
}
