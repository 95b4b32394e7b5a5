// Debian's Chromium, driven over its own protocol. Every page notes what must never happen: a script
// error, a message on the console, a breach of the content security policy.
import assert from 'node:assert/strict';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Server } from './server.ts';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launch = (): Promise<Browser> =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

export interface Visit {
  page: Page;
  complaints: string[];
  close: () => Promise<void>; // fails when there was a complaint
}

// Chromium itself reports refused requests on the console; the sign-in page cannot do without one.
const isExpected = (text: string): boolean => /Failed to load resource.*\b401\b/.test(text);

export async function visit(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    const isBad = message.type() === 'error' || message.type() === 'warning';
    if (isBad && !isExpected(message.text())) complaints.push(`console: ${message.text()}`);
  });
  await page.exposeFunction('reportBreach', (text: string) => complaints.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      const report = (window as unknown as { reportBreach: (text: string) => void }).reportBreach;
      report(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  const close = async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  };
  return { page, complaints, close };
}

export async function signIn(page: Page, server: Server, path = '/', token = server.token) {
  await page.goto(server.url + path);
  await page.getByLabel('Token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
}
