// What a run is given by `-e NAME=VALUE`. All of it is checked in the init context, before the first connection.

import { SharedArray } from 'k6/data';
import { b64decode } from 'k6/encoding';
import exec from 'k6/execution';

/**
 * Ends the test with one line that says why.
 * @param {string} reason
 * @returns {never}
 */
export function refuse(reason) {
  exec.test.abort(reason);
  // k6 goes on nowhere behind an abort.
  throw new Error(reason);
}

/**
 * A whole number within bounds.
 * @param {string} name
 * @param {number} fallback
 * @param {number} least
 * @param {number} most
 */
function whole(name, fallback, least, most) {
  const text = __ENV[name];
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  return refuse(`${name} is \`${text}\`: a whole number of ${least} to ${most} is required`);
}

/** @type {Record<string, number>} */
const UNITS = { ms: 1, s: 1000, m: 60000, h: 3600000 };

/**
 * A time such as `500ms`, `30s` or `5m`, in milliseconds.
 * @param {string} name
 * @param {string} fallback
 * @param {number} most
 */
function time(name, fallback, most) {
  const text = __ENV[name] ?? fallback;
  const [, count = '', unit = ''] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const value = Number(count) * (UNITS[unit] ?? NaN);
  if (value >= 1 && value <= most) return value;
  return refuse(`${name} is \`${text}\`: a time such as 500ms, 30s or 5m is required, at most ${most / 1000}s`);
}

/** @param {string} url */
function isAddress(url) {
  const [found, port] = /^wss?:\/\/[^\s/?#]+?(?::(\d+))?\/[^\s?#]*$/.exec(url) ?? [];
  return found !== undefined && (port === undefined || (Number(port) >= 1 && Number(port) <= 65535));
}

/** The addresses of the nodes or of their balancer. */
function urls() {
  const list = (__ENV.URL ?? 'ws://127.0.0.1:8080/v1/ws').split(',');
  const wrong = list.find((url) => !isAddress(url));
  if (wrong === undefined) return list;
  return refuse(`URL names \`${wrong}\`: ws://host:port/v1/ws is required, several with commas between them`);
}

export const SECOND = 1000;

/** Milliseconds that the opening of sockets, the creation of rooms and the end of a run may take besides. */
const SLACK = 60 * SECOND;

const sockets = whole('SOCKETS', 100, 2, 1000000);
// Sockets write to each other, so no virtual user has one alone.
const virtualUsers = Math.min(Math.ceil(sockets / whole('SOCKETS_PER_VU', 50, 2, 10000)), Math.floor(sockets / 2));

/**
 * The number of the first socket of a virtual user; they are counted from 0, and share the sockets evenly.
 * @param {number} virtualUser
 */
export const firstSocket = (virtualUser) => Math.floor((virtualUser * sockets) / virtualUsers);

export const parameters = {
  urls: urls(),
  /** Sockets in all. */
  sockets,
  virtualUsers,
  /** Sockets of the virtual user that has the fewest. */
  socketsLeast: Math.floor(sockets / virtualUsers),
  /** Sends, or connections in connect.js, per second by all virtual users together. */
  rate: whole('RATE', 50, 1, 1000000),
  /** Connections opened per second by all virtual users together, before the load begins. */
  connectRate: whole('CONNECT_RATE', 200, 1, 1000000),
  /** Milliseconds of load. */
  duration: time('DURATION', '10s', 24 * 3600 * SECOND),
  /** Milliseconds behind the load, within which all has to arrive. */
  settle: time('SETTLE', '10s', 600 * SECOND),
  /** Bytes of padding in each body. */
  bytes: whole('BYTES', 0, 0, 1000000),
  /** Bound of the 99th percentile of latency, in milliseconds. */
  p99: whole('P99_MS', 1000, 1, 600000),
  /** From how many milliseconds on a delivery counts as late. */
  late: whole('LATE_MS', 1000, 1, 600000),
  /** Most messages that may come behind a later one of their sender. The protocol allows any number. */
  overtaken: whole('OVERTAKEN', 1000000000, 0, 1000000000),
  /** Bound of the 99th percentile of the generator's own lags, in milliseconds. */
  lag: whole('LAG_MS', 100, 1, 60000),
  /** Members of a room of room.js, or listeners of a topic of pattern.js. */
  group: whole('GROUP', 10, 2, 1000),
  /** Milliseconds between two drops of a socket by each virtual user of reconnect.js. */
  dropEvery: time('DROP_EVERY', '2s', 3600 * SECOND),
  /** Sends of limits.js by each flooding user. */
  flood: whole('FLOOD', 2000, 100, 1000000),
  /** Milliseconds by which the median of the others in limits.js may grow, besides a factor of three. */
  slower: whole('SLOWER_MS', 50, 0, 60000),
  /** A token with the scope `service`, which makes the rooms of room.js. */
  service: __ENV.SERVICE,
};

/** Milliseconds after which a virtual user is interrupted. */
export function patience() {
  const opening = (sockets / parameters.connectRate) * SECOND;
  return Math.ceil(opening + parameters.duration + parameters.settle + SLACK);
}

/**
 * @typedef {{user: string, token: string}} User
 */

/**
 * Reads one line of `narrowcast token … --json`, and checks that its token outlives the run.
 * @param {string} line
 * @param {number} number
 * @returns {User}
 */
function readUser(line, number) {
  const place = `USERS, line ${number + 1}`;
  let claims;
  /** @type {Partial<User>} */
  let read = {};
  try {
    read = JSON.parse(line);
    claims = JSON.parse(b64decode((read.token ?? '').split('.')[1] ?? '', 'rawurl', 's'));
  } catch {
    refuse(`${place}: {"user":…,"token":…} is required, as \`narrowcast token … --json\` prints it`);
  }
  const { user, token } = read;
  if (!user || !token) return refuse(`${place}: \`user\` or \`token\` is missing`);
  if (claims?.sub !== user) refuse(`${place}: the token is of \`${claims?.sub}\`, not of ${user}`);
  if (!Number.isFinite(claims.exp)) refuse(`${place}: the token of ${user} does not say when it expires`);
  const left = claims.exp * SECOND - Date.now();
  const needed = patience();
  if (left >= needed) return { user, token };
  const state = left < 0 ? 'has expired' : `is good for ${Math.floor(left / SECOND)} s more`;
  return refuse(`${place}: the token of ${user} ${state}, and the run needs ${Math.ceil(needed / SECOND)} s: make tokens anew`);
}

/** Reads as many users as there are sockets. */
function readUsers() {
  const path = __ENV.USERS;
  if (!path) return refuse("USERS is missing: give the output of `narrowcast token 'load-{0..9999}' --json` as a file");
  let text = '';
  try {
    text = open(path);
  } catch (error) {
    refuse(`USERS: ${/** @type {Error} */ (error).message}`);
  }
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length < sockets) refuse(`USERS has ${lines.length} users, and SOCKETS=${sockets} needs one for each`);
  const read = lines.slice(0, sockets).map(readUser);
  /** @type {Map<string, number>} */
  const places = new Map();
  read.forEach(({ user }, number) => {
    const before = places.get(user);
    if (before !== undefined) refuse(`USERS, line ${number + 1}: ${user} is on line ${before + 1} already`);
    places.set(user, number);
  });
  return read;
}

/** @type {User[]} */
export const users = new SharedArray('users', readUsers);
