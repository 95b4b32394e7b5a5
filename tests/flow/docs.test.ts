// The documents say what the program says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { binary, root } from './nimbus.ts';

test('docs/configuration.md shows the table that config reference prints', () => {
  const table = execFileSync(binary, ['config', 'reference']).toString();
  assert.ok(readFileSync(path.join(root, 'docs/configuration.md'), 'utf8').includes(table));
});

test('every command that the documents show exists', () => {
  for (const file of ['README.md', 'docs/getting-started.md', 'docs/configuration.md']) {
    const text = readFileSync(path.join(root, file), 'utf8');
    for (const [, noun, verb] of text.matchAll(/nimbus (\w+) (list|show|logs|cancel|create|enroll|set|check|reference|send)\b/g)) {
      const help = execFileSync(binary, [noun, verb, '--help']).toString();
      assert.match(help, new RegExp(`usage: nimbus ${noun} ${verb}`), `${file}: nimbus ${noun} ${verb}`);
    }
  }
});
