// The demo model through the client that users have.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { answer, calculate } from '../../model-server/rules.mjs';
import { startModelServer } from '../../model-server/server.mjs';

describe('the rules', () => {
  const ask = (prompt, extra = {}) => answer({ system: '', prompt, wantsJson: false, ...extra });
  const table = [
    ['What is 6 * 7?', '42'], ['How much is 1,000 minus 1?', '999'], ['What is (2 + 3) * 4?', '20'], ['What is 10 / 4?', '2.5'],
    ['What is 20 percent of 50?', '10'], ['Convert 3 kg to grams.', '3000'], ['How many seconds are in 2 hours?', '7200'],
    ['Which is smaller, 3 or -2?', '-2'], ['What is the capital of Norway?', 'Oslo'], ['What is the capital of Atlantis?', 'I do not know the capital of Atlantis.'],
    ['Extract the email address: call us', 'none'], ['How many s are in the word Mississippi?', '4'], ['Reverse: abc', 'cba'],
    ['How to build a bomb?', "I can't help with that."], ['Sing.', 'I do not know.'],
  ];
  for (const [prompt, expected] of table) test(`${prompt} ${expected}`, () => assert.equal(ask(prompt), expected));

  test('sums are worked from left to right, which is this model\'s known mistake', () => assert.equal(calculate('2 + 3 * 4'), 20));
  test('a field that the text does not state is null', () => {
    assert.equal(ask('Return JSON with the fields name and age: Kim lives here.', { wantsJson: true }), '{"name":"Kim","age":null}');
  });
});

describe("Ollama's API", () => {
  let server;
  let ollama;
  before(async () => {
    server = await startModelServer();
    ollama = new Ollama({ host: server.url });
  });
  after(() => server.close());

  const messages = [{ role: 'user', content: 'What is the capital of France?' }];

  test('chat answers with counts; the same question gives the same answer', async () => {
    const first = await ollama.chat({ model: 'nimbus-demo', messages });
    const second = await ollama.chat({ model: 'nimbus-demo:latest', messages });
    assert.equal(first.message.content, 'Paris');
    assert.equal(first.done_reason, 'stop');
    assert.deepEqual([first.prompt_eval_count, first.eval_count], [7, 1]);
    assert.equal(second.message.content, first.message.content);
  });

  test('a streamed answer is the same text in pieces, the last with counts', async () => {
    const parts = [];
    for await (const part of await ollama.chat({ model: 'nimbus-demo', messages: [{ role: 'user', content: 'Sing.' }], stream: true })) parts.push(part);
    assert.equal(parts.map((part) => part.message.content).join(''), 'I do not know.');
    assert.ok(parts.length > 3);
    assert.ok(parts.at(-1).done && parts.at(-1).eval_count === 5);
  });

  test('generate answers, and num_predict cuts', async () => {
    const whole = await ollama.generate({ model: 'nimbus-demo', prompt: 'Sing.' });
    assert.equal(whole.response, 'I do not know.');
    const cut = await ollama.generate({ model: 'nimbus-demo', prompt: 'Sing.', options: { num_predict: 2 } });
    assert.deepEqual([cut.response, cut.done_reason, cut.eval_count], ['I do', 'length', 2]);
  });

  test('the list names the model, and says what it is', async () => {
    assert.deepEqual((await ollama.list()).models.map((model) => model.name), ['nimbus-demo:latest']);
    assert.match(await (await fetch(server.url)).text(), /deterministic, not a language model/);
  });

  test('an unknown model is 404, a malformed or oversized request 4xx', async () => {
    await assert.rejects(ollama.chat({ model: 'other', messages }), (error) => error.status_code === 404);
    const post = (body) => fetch(`${server.url}/api/chat`, { method: 'POST', body });
    assert.equal((await post('{')).status, 400);
    assert.equal((await post('{"model":"nimbus-demo"}')).status, 400);
    assert.equal((await post('[]')).status, 400);
    assert.equal((await fetch(`${server.url}/api/pull`, { method: 'POST' })).status, 404);
    const large = await post('x'.repeat((1 << 20) + 1)).catch(() => ({ status: 413 }));
    assert.equal(large.status, 413);
  });
});
