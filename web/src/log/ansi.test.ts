import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnsi, plainText } from './ansi.ts';

const ESC = '\u001b';
const texts = (raw: string) => parseAnsi(raw).map((segment) => segment.text);

test('text without escapes is one plain segment', () => {
  assert.deepEqual(parseAnsi('hello <b>'), [{ text: 'hello <b>', style: null }]);
});

test('colours and weight apply until they are reset', () => {
  const segments = parseAnsi(`a${ESC}[1;31mb${ESC}[22mc${ESC}[0md`);
  assert.deepEqual(texts(`a${ESC}[1;31mb${ESC}[22mc${ESC}[0md`), ['a', 'b', 'c', 'd']);
  assert.equal(segments[0]?.style, null);
  assert.equal(segments[1]?.style?.fg, 1);
  assert.equal(segments[1]?.style?.bold, true);
  assert.equal(segments[2]?.style?.bold, false);
  assert.equal(segments[2]?.style?.fg, 1);
  assert.equal(segments[3]?.style, null);
});

test('an empty SGR is a reset', () => {
  assert.equal(parseAnsi(`${ESC}[31mx${ESC}[my`)[1]?.style, null);
});

test('bright, indexed and true colours become palette entries or plain numbers', () => {
  const color = (codes: string) => parseAnsi(`${ESC}[${codes}mx`)[0]?.style;
  assert.equal(color('91')?.fg, 9);
  assert.equal(color('38;5;9')?.fg, 9);
  assert.equal(color('38;5;196')?.fg, 'rgb(255 0 0)');
  assert.equal(color('48;5;244')?.bg, 'rgb(128 128 128)');
  assert.equal(color('38;2;1;2;3')?.fg, 'rgb(1 2 3)');
  assert.equal(color('38:2:1:2:3')?.fg, 'rgb(1 2 3)');
  assert.equal(color('38;2;999;2;3')?.fg, 'rgb(255 2 3)');
});

test('every sequence other than SGR disappears, with what it carries', () => {
  const hostile = [
    `${ESC}[2J${ESC}[1;1H`, // clear, home
    `${ESC}]0;title\u0007`, // window title
    `${ESC}]8;;https://evil.example${ESC}\\`, // link
    `${ESC}]52;c;ZXZpbA==\u0007`, // clipboard
    `${ESC}P1$r0m${ESC}\\`, // device control
    `${ESC}_payload${ESC}\\`,
    `${ESC}[?1049h${ESC}[>0c${ESC}[6n${ESC}c${ESC}(0${ESC}#8`,
    '\u009b31m\u009d0;title\u009c\u0090q\u009c', // the 8-bit forms
  ];
  for (const sequence of hostile)
    assert.equal(plainText(`a${sequence}b`), 'ab', JSON.stringify(sequence));
});

test('a private SGR such as ESC[?31m changes nothing', () => {
  assert.deepEqual(parseAnsi(`${ESC}[?31mx`), [{ text: 'x', style: null }]);
});

test('an unfinished sequence at the end of a line disappears', () => {
  for (const end of [ESC, `${ESC}[`, `${ESC}[31`, `${ESC}]0;never ended`]) {
    assert.equal(plainText(`text${end}`), 'text');
  }
});

test('control characters disappear and tabs go to the next stop', () => {
  assert.equal(plainText('a\u0000b\u0008c\u007fd\u0085e'), 'abcde');
  assert.equal(plainText('ab\tc'), 'ab      c');
  assert.equal(plainText('12345678\tc'), '12345678        c');
});

test('characters that reorder text are shown as replacement characters', () => {
  assert.equal(plainText('a\u202eb\u2066c\u2028d'), 'a\ufffdb\ufffdc\ufffdd');
});

test('of a line rewritten by carriage returns the last writing is shown', () => {
  assert.equal(plainText('10%\r50%\r100%\r'), '100%');
  assert.equal(plainText('windows line\r'), 'windows line');
});

test('a long hostile line takes linear time', () => {
  for (const piece of [
    `${ESC}[`,
    `${ESC}]`,
    `${ESC}[31m`,
    ';',
    `${ESC}[${';'.repeat(50)}`,
    '\r',
    '\t',
  ]) {
    const line = piece.repeat(Math.floor(65_536 / piece.length));
    parseAnsi(line);
  }
});
