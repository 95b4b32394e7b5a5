// What the demo model knows. It reads the question by patterns and computes the answer: there is no
// table from question to answer. Two weaknesses are real ones of its method: it works sums from left
// to right, blind to precedence, and it judges mood by counting words, blind to negation.

const CAPITALS = {
  argentina: 'Buenos Aires', australia: 'Canberra', austria: 'Vienna', brazil: 'Brasília', canada: 'Ottawa',
  egypt: 'Cairo', france: 'Paris', germany: 'Berlin', india: 'New Delhi', italy: 'Rome', japan: 'Tokyo',
  kenya: 'Nairobi', norway: 'Oslo', poland: 'Warsaw', portugal: 'Lisbon', spain: 'Madrid', sweden: 'Stockholm',
};
const UNITS = {
  kilometre: ['m', 1000], kilometer: ['m', 1000], km: ['m', 1000], metre: ['m', 1], meter: ['m', 1], m: ['m', 1],
  centimetre: ['m', 0.01], centimeter: ['m', 0.01], cm: ['m', 0.01], mile: ['m', 1609.344],
  kilogram: ['g', 1000], kg: ['g', 1000], gram: ['g', 1], g: ['g', 1], pound: ['g', 453.59237],
  hour: ['s', 3600], minute: ['s', 60], second: ['s', 1], day: ['s', 86400],
};
const GLAD = new Set('amazing excellent fast friendly good great happy helpful love loved perfect pleased wonderful'.split(' '));
const SAD = new Set('angry awful bad broken crashed disappointed hate horrible late poor rude slow terrible useless'.split(' '));
const LANGUAGES = {
  English: 'the and is of to in that with', French: 'le la les et est une des dans', German: 'der die das und ist nicht ein mit',
  Spanish: 'el la los y es una que por',
};
const HARMFUL = /\b(bomb|explosive|malware|ransomware|phishing|steal|poison|weapon|break into)\b/i;
const MONTHS = 'january february march april may june july august september october november december'.split(' ');

const trimNumber = (value) => String(Number(value.toFixed(10)));
const quoted = (text) => /["“'‘]([^"”’]+)["”’']/.exec(text)?.[1];
/** What follows the first colon or sits in quotes: the text a task is about. */
const subject = (text) => (quoted(text) ?? text.slice(text.indexOf(':') + 1)).trim();

function applySign(left, sign, right) {
  switch (sign) {
    case '+': return left + right;
    case '-': return left - right;
    case '*': return left * right;
    case '/': return left / right;
    default: return left ** right;
  }
}

/** Sums as they are read, from left to right; parentheses are worked first. */
export function calculate(expression) {
  const inner = /\(([^()]*)\)/.exec(expression);
  if (inner) {
    const value = calculate(inner[1]);
    return value === undefined ? undefined : calculate(expression.replace(inner[0], String(value)));
  }
  const parts = expression.trim().match(/^-?\d+(?:\.\d+)?|[-+*/^]|\d+(?:\.\d+)?/g);
  if (!parts || parts.length < 3 || parts.length % 2 === 0) return parts?.length === 1 ? Number(parts[0]) : undefined;
  let value = Number(parts[0]);
  for (let i = 1; i < parts.length; i += 2) value = applySign(value, parts[i], Number(parts[i + 1]));
  return Number.isFinite(value) ? value : undefined;
}

function arithmetic({ prompt }) {
  const percent = /(\d+(?:\.\d+)?)\s*(?:%|percent) of (\d+(?:\.\d+)?)/i.exec(prompt);
  if (percent) return trimNumber((Number(percent[1]) / 100) * Number(percent[2]));
  const spoken = prompt
    .replace(/\bplus\b/gi, '+').replace(/\bminus\b/gi, '-').replace(/\b(?:times|multiplied by)\b|[×x](?=\s*\d)/gi, '*')
    .replace(/\bdivided by\b|÷/gi, '/').replace(/(\d),(\d{3})\b/g, '$1$2');
  const expression = /[(\d][\d\s.+\-*/^()]*[+\-*/^][\d\s.+\-*/^()]*\d\)?/.exec(spoken)?.[0];
  const value = expression && calculate(expression);
  return value === undefined || value === '' ? undefined : trimNumber(value);
}

function conversion({ prompt }) {
  const found = /(\d+(?:\.\d+)?)\s*([a-z]+?)s?\b.*?\b(?:to|in|into)\s+([a-z]+?)s?\b/i.exec(prompt)
    ?? /how many ()([a-z]+?)s? (?:are )?in (\d+(?:\.\d+)?) ([a-z]+?)s?\b/i.exec(prompt);
  if (!found) return undefined;
  const [amount, from, to] = found[4] ? [found[3], found[4], found[2]] : [found[1], found[2], found[3]];
  const [source, target] = [UNITS[from.toLowerCase()], UNITS[to.toLowerCase()]];
  if (!source || !target || source[0] !== target[0]) return undefined;
  return trimNumber((Number(amount) * source[1]) / target[1]);
}

function capital({ prompt }) {
  const country = /capital (?:city )?of ([A-Za-z ]+?)[?.]/i.exec(prompt)?.[1];
  return country && (CAPITALS[country.toLowerCase()] ?? `I do not know the capital of ${country}.`);
}

function extraction({ prompt }) {
  if (!/\b(extract|find|list|what is the)\b/i.test(prompt)) return undefined;
  const text = subject(prompt);
  const patterns = [
    [/e-?mail/i, /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g], [/\bdates?\b/i, /\b\d{4}-\d{2}-\d{2}\b/g],
    [/order number|order id/i, /\b[A-Z]{2,}-\d+\b/g], [/\b(price|amount)s?\b/i, /[$€£]\d+(?:\.\d{2})?/g],
    [/\burls?\b|\blinks?\b/i, /https?:\/\/[^\s,]+[^\s,.]/g],
  ];
  const wanted = patterns.find(([asked]) => asked.test(prompt.slice(0, prompt.length - text.length)));
  return wanted && ((text.match(wanted[1]) ?? []).join(', ') || 'none');
}

function isoDate(text) {
  const named = new RegExp(`\\b(\\d{1,2})(?:st|nd|rd|th)? (${MONTHS.join('|')}) (\\d{4})\\b`, 'i').exec(text)
    ?? new RegExp(`\\b(${MONTHS.join('|')}) (\\d{1,2})(?:st|nd|rd|th)?,? (\\d{4})\\b`, 'i').exec(text);
  if (!named) return undefined;
  const [day, month] = /^\d/.test(named[1]) ? [named[1], named[2]] : [named[2], named[1]];
  return `${named[3]}-${String(MONTHS.indexOf(month.toLowerCase()) + 1).padStart(2, '0')}-${day.padStart(2, '0')}`;
}

/** Facts a sentence states about a person or a thing, by the name of the field asked for. */
const FIELDS = {
  name: (text) => /\b([A-Z][a-z]+(?: [A-Z][a-z]+)?)\b/.exec(text)?.[1],
  age: (text) => Number(/\b(\d{1,3})(?: years old|-year-old)\b/.exec(text)?.[1] ?? /\baged? (\d{1,3})\b/.exec(text)?.[1]) || undefined,
  city: (text) => /\b(?:in|from) ([A-Z][a-z]+)\b/.exec(text)?.[1],
  date: isoDate,
  quantity: (text) => Number(/\b(\d+) (?:boxes|units|pieces|copies|bottles)\b/.exec(text)?.[1]) || undefined,
  item: (text) => /\b\d+ (?:boxes|units|pieces|copies|bottles) of ([a-z ]+?)(?: at| for|[.,]|$)/.exec(text)?.[1],
  price: (text) => Number(/[$€£](\d+(?:\.\d+)?)/.exec(text)?.[1]) || undefined,
  email: (text) => /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/.exec(text)?.[0],
};

function jsonFields({ prompt, wantsJson }) {
  if (!wantsJson && !/\bJSON\b/.test(prompt)) return undefined;
  const text = subject(prompt);
  const task = prompt.slice(0, prompt.length - text.length);
  const asked = Object.keys(FIELDS).filter((field) => new RegExp(`\\b${field}\\b`, 'i').test(task));
  if (asked.length === 0) return undefined;
  return JSON.stringify(Object.fromEntries(asked.map((field) => [field, FIELDS[field](text) ?? null])));
}

function sentiment({ prompt }) {
  if (!/\b(sentiment|positive or negative|positive, negative)\b/i.test(prompt)) return undefined;
  const words = subject(prompt).toLowerCase().match(/[a-z]+/g) ?? [];
  const score = words.reduce((sum, word) => sum + Number(GLAD.has(word)) - Number(SAD.has(word)), 0);
  return score > 0 ? 'positive' : score < 0 ? 'negative' : 'neutral';
}

function language({ prompt }) {
  if (!/\bwhat language|which language\b/i.test(prompt)) return undefined;
  const words = subject(prompt).toLowerCase().match(/\p{L}+/gu) ?? [];
  const hits = ([, common]) => words.filter((word) => common.split(' ').includes(word)).length;
  return Object.entries(LANGUAGES).sort((a, b) => hits(b) - hits(a))[0][0];
}

function wordwork({ prompt }) {
  const text = subject(prompt);
  const letter = /how many (?:times .*letter )?["'‘“]?([a-z])["'’”]?s? (?:are|is|appears?|occurs?)?.*\bin (?:the word )?["'‘“]?([a-z]+)["'’”]?/i.exec(prompt);
  if (letter) return String([...letter[2].toLowerCase()].filter((c) => c === letter[1].toLowerCase()).length);
  if (/\breverse\b/i.test(prompt)) return [...text.replace(/\.$/, '')].reverse().join('');
  if (/\b(sort|alphabetical)/i.test(prompt)) return text.replace(/\.$/, '').split(/,\s*/).sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).join(', ');
  if (/\b(upper ?case|capital letters)\b/i.test(prompt)) return text.toUpperCase();
  if (/\bhow many words\b/i.test(prompt)) return String(text.split(/\s+/).filter(Boolean).length);
  if (/\bISO\b|YYYY-MM-DD/i.test(prompt)) return isoDate(prompt);
  return undefined;
}

function comparison({ prompt }) {
  const asked = /\b(larger|bigger|greater|smaller|less)\b[^\d-]*(-?\d+(?:\.\d+)?)\s*(?:or|,|and)\s*(-?\d+(?:\.\d+)?)/i.exec(prompt);
  if (!asked) return undefined;
  const [a, b] = [Number(asked[2]), Number(asked[3])];
  return trimNumber(/larger|bigger|greater/i.test(asked[1]) ? Math.max(a, b) : Math.min(a, b));
}

function refusal({ prompt }) {
  return HARMFUL.test(prompt) ? "I can't help with that." : undefined;
}

const RULES = [refusal, jsonFields, sentiment, language, wordwork, capital, comparison, conversion, extraction, arithmetic];

/** The answer to a question; the first rule that understands it gives it. */
export function answer(question) {
  for (const rule of RULES) {
    const text = rule(question);
    if (text !== undefined) return text;
  }
  return 'I do not know.';
}
