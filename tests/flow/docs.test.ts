// The documents say what the program says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { binary, root } from './nimbus.ts';

test('docs/configuration.md shows the table that config reference prints', () => {
  const table = execFileSync(binary, ['config', 'reference']).toString();
  assert.ok(readFileSync(path.join(root, 'docs/configuration.md'), 'utf8').includes(table));
});

interface Shown {
  where: string;
  line: string;
  words: string[];
}

const documents = ['README.md', 'CONTRIBUTING.md', 'examples/README.md', ...readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];

/** The words a shell would make of a line, up to its first operator or comment. */
function shellWords(line: string): string[] {
  const words = [];
  for (const [word] of line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    if (/^(#|\||&|;|>|<)/.test(word)) break;
    words.push(word.replace(/['"]/g, ''));
  }
  return words;
}

/** Command lines of code: inline, or in indented and fenced blocks, where several may share a line. */
function commandsShown(file: string): Shown[] {
  const text = readFileSync(path.join(root, file), 'utf8').replace(/\\\n\s*/g, ' ');
  const code = [...text.matchAll(/`([^`\n]+(?:\n[^`\n]+)?)`/g)].map(([, inline]) => inline.replace(/\s*\n\s*/g, ' '));
  for (const [block] of text.matchAll(/^(?: {3,}|\$ )\S.*$/gm)) code.push(...block.trim().split(/ {3,}/));
  for (const [, fenced] of text.matchAll(/```\w*\n([\s\S]*?)```/g)) code.push(...fenced.split('\n').flatMap((line) => line.trim().split(/ {3,}/)));
  return code
    .map((line) => line.replace(/^(\$ )?([A-Z_]+=\S* )*/, ''))
    .filter((line) => /^(build\/)?nimbus [a-z]/.test(line))
    .map((line) => ({ where: `${file}: ${line}`, line, words: shellWords(line).slice(1) }));
}

const helpOf = (words: string[]) => execFileSync(binary, [...words, '--help']).toString();

/** The usage line's command, `nimbus token create`, and how many words it needs at least. */
function checkShown({ where, words }: Shown): void {
  const ownWords = words.indexOf('--') < 0 ? words : words.slice(0, words.indexOf('--'));
  const noun = helpOf([ownWords[0]]);
  const standsAlone = noun.includes(`usage: nimbus ${ownWords[0]}`) && !noun.includes(`usage: nimbus ${ownWords[0]} VERB`);
  const verbs = standsAlone ? [''] : (ownWords[1] ?? '').split('|').map((verb) => verb.replace(/,$/, ''));
  if (!standsAlone && ownWords.length === 1) return;
  for (const verb of verbs) {
    const name = [ownWords[0], verb].filter(Boolean);
    const help = helpOf(name);
    const usage = help.match(/^usage: nimbus (.*)$/m)?.[1] ?? '';
    assert.ok(usage.startsWith(name.join(' ')), `${where}: no such command`);
    const given = ownWords.slice(name.length).filter((word) => word !== '…' && word !== '...');
    for (let i = 0; i < given.length; i++) {
      if (!given[i].startsWith('-') || given[i] === '-') continue;
      const option = help.match(new RegExp(`^  (?:-\\w, )?${given[i].length === 2 ? `${given[i]}, --\\S+` : given[i]}( [A-Z][A-Z:]*)?(  |$)`, 'm'));
      assert.ok(option, `${where}: no option ${given[i]}`);
      if (option[1]) given.splice(i + 1, 1);
    }
    const positional = given.filter((word) => !word.startsWith('-') && !/^\[/.test(word));
    const takes = usage.slice(name.join(' ').length).replace('[options]', '').replace(/\[?--.*/, '').trim().split(/\s+/).filter(Boolean);
    if (!takes.some((word) => word.includes('...'))) assert.ok(positional.length <= takes.length, `${where}: it takes ${takes.join(' ') || 'no words'}`);
    for (const word of positional.filter((word) => /^(examples|images|docs|bench)\//.test(word))) {
      assert.ok(existsSync(path.join(root, word)), `${where}: there is no ${word}`);
    }
  }
}

test('every command line that the documents show has the verb, options, words and files it names', () => {
  const shown = documents.flatMap(commandsShown);
  assert.ok(shown.length > 30, `only ${shown.length} were found`);
  for (const one of shown) checkShown(one);
});

test('the command line check sees what is wrong', () => {
  const wrong = (line: string) => () => checkShown({ where: line, line, words: shellWords(line).slice(1) });
  assert.throws(wrong('nimbus token create --name ci'), /no option --name/);
  assert.throws(wrong('nimbus token make ci'));
  assert.throws(wrong('nimbus job show 1 2'), /it takes ID/);
  assert.throws(wrong('nimbus webhook send examples/absent.json --move-times'), /there is no examples\/absent.json/);
});
