// Waits for a condition with a deadline; a failure names what was waited for.
export async function waitFor(
  what: string,
  condition: () => Promise<boolean> | boolean,
  limitMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
