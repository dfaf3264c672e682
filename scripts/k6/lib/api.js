// The HTTP API, at the node of the first URL.

import http from 'k6/http';

import { parameters } from './parameters.js';

/**
 * Asks the HTTP API.
 * @param {string} method
 * @param {string} path
 * @param {string} token
 * @param {object} body
 */
export async function api(method, path, token, body) {
  const base = (parameters.urls[0] ?? '').replace(/^ws/, 'http').replace(/\/v1\/ws$/, '');
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const answer = await http.asyncRequest(method, `${base}${path}`, JSON.stringify(body), { headers });
  const text = String(answer.body ?? answer.error);
  return { status: answer.status, headers: answer.headers, text, json: parse(text) };
}

/**
 * @param {string} text
 * @returns {any}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
