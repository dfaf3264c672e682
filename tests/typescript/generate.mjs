// Usage: node generate.mjs ASYNCAPI OPENAPI DIRECTORY
//
// Validates both descriptions by public validators, and writes their types into the directory.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Parser } from '@asyncapi/parser';
import { createConfig, lint } from '@redocly/openapi-core';
import { compile } from 'json-schema-to-typescript';
import openapiTypes, { astToString } from 'openapi-typescript';
import { parse } from 'yaml';

const [asyncapi, openapi, directory] = process.argv.slice(2);
const WARNING = 1;

/** Problems of the description of frames: errors and warnings. */
async function problemsOfFrames(text) {
  const { document, diagnostics } = await new Parser().parse(text);
  const found = diagnostics.filter(({ severity }) => severity <= WARNING);
  const problems = found.map(({ message, path }) => `${path.join('.')}: ${message}`);
  return document ? problems : [...problems, 'it is no document'];
}

/** Problems of the description of routes. */
async function problemsOfRoutes(path) {
  // The server is the one that the document came from, and every operation has a default response.
  const rules = { 'no-empty-servers': 'off', 'operation-4xx-response': 'off', 'info-license': 'off' };
  const config = await createConfig({ extends: ['recommended'], rules });
  const found = await lint({ ref: path, config });
  return found.map(({ message, location, severity, ruleId }) =>
    `${location[0]?.pointer}: ${message} (${severity}, ${ruleId})`);
}

/** The types of all frames: `ClientFrame` and `ServerFrame` are unions by `op`. */
async function typesOfFrames(text) {
  const { components } = parse(text);
  // It would be an object. Any JSON value is `unknown` to a strict client, as it is in the routes.
  components.schemas.Json.tsType = 'unknown';
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Frames',
    type: 'object',
    additionalProperties: false,
    required: ['client', 'server'],
    properties: {
      client: { $ref: '#/components/schemas/ClientFrame' },
      server: { $ref: '#/components/schemas/ServerFrame' },
    },
    components,
  };
  return compile(schema, 'Frames', { additionalProperties: false, bannerComment: '' });
}

const frames = await readFile(asyncapi, 'utf8');
const problems = [
  ...(await problemsOfFrames(frames)).map((problem) => `${asyncapi}: ${problem}`),
  ...(await problemsOfRoutes(openapi)).map((problem) => `${openapi}: ${problem}`),
];
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
await writeFile(join(directory, 'frames.ts'), await typesOfFrames(frames));
const routes = await openapiTypes(pathToFileURL(openapi), { silent: true });
await writeFile(join(directory, 'routes.ts'), astToString(routes));
