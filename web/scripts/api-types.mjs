// Writes src/api/types.ts from the schemas of the server's own description, src/api/openapi.json of the
// repository. With --check it only says whether the committed file is right.
import { readFileSync, writeFileSync } from 'node:fs';

const source = new URL('../../src/api/openapi.json', import.meta.url);
const target = new URL('../src/api/types.ts', import.meta.url);

const isName = (text) => /^[A-Za-z_]\w*$/.test(text);
const quote = (value) => JSON.stringify(value).replaceAll("'", "\\'").replace(/^"|"$/g, "'");
const literal = (value) => (typeof value === 'string' ? quote(value) : JSON.stringify(value));
const comment = (text, indent) =>
  `${indent}/** ${text.replaceAll('*/', '*\\/').replace(/\s+/g, ' ')} */\n`;

function typeOf(schema, indent) {
  if (schema.$ref) return schema.$ref.split('/').at(-1);
  if (schema.enum) return schema.enum.map(literal).join(' | ');
  if (schema.const !== undefined) return literal(schema.const);
  const union = schema.oneOf ?? schema.anyOf;
  if (union) return union.map((each) => typeOf(each, indent)).join(' | ');
  if (schema.allOf) return schema.allOf.map((each) => typeOf(each, indent)).join(' & ');
  const kinds = Array.isArray(schema.type) ? schema.type : [schema.type];
  return kinds.map((kind) => typeOfKind(kind, schema, indent)).join(' | ');
}

function typeOfKind(kind, schema, indent) {
  switch (kind) {
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
    case 'boolean':
    case 'null':
      return kind;
    case 'array': {
      const item = typeOf(schema.items ?? {}, indent);
      return / [|&] /.test(item) ? `(${item})[]` : `${item}[]`;
    }
    case 'object':
      return typeOfObject(schema, indent);
    case undefined:
      return 'unknown';
    default:
      throw new Error(`a schema of type ${kind} is not understood`);
  }
}

function typeOfObject(schema, indent) {
  const rest = schema.additionalProperties;
  if (!schema.properties)
    return `Record<string, ${rest && rest !== true ? typeOf(rest, indent) : 'unknown'}>`;
  return `{\n${members(schema, `${indent}  `)}${indent}}`;
}

function members(schema, indent) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties)
    .map(([name, member]) => {
      const words = member.description ? comment(member.description, indent) : '';
      const key = isName(name) ? name : quote(name);
      return `${words}${indent}${key}${required.has(name) ? '' : '?'}: ${typeOf(member, indent)};\n`;
    })
    .join('');
}

export function generate(document) {
  const parts = Object.entries(document.components.schemas).map(([name, schema]) => {
    const words = schema.description ? comment(schema.description, '') : '';
    const isPlainObject = schema.properties && (schema.type ?? 'object') === 'object';
    return isPlainObject
      ? `${words}export interface ${name} {\n${members(schema, '  ')}}\n`
      : `${words}export type ${name} = ${typeOf(schema, '')};\n`;
  });
  return `// Made by scripts/api-types.mjs from src/api/openapi.json: run \`npm run types\`, do not edit.\n\n${parts.join('\n')}`;
}

export const generated = () => generate(JSON.parse(readFileSync(source, 'utf8')));
export const committed = () => readFileSync(target, 'utf8');

if (import.meta.main) {
  if (!process.argv.includes('--check')) writeFileSync(target, generated());
  else if (generated() !== committed()) {
    process.stderr.write(
      'src/api/types.ts is not what src/api/openapi.json says\nhint: npm run types\n',
    );
    process.exitCode = 1;
  }
}
