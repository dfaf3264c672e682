// Limits: in the second half of the load one user of each virtual user sends FLOOD messages at once. Its refusals have to be
// typed and to say when to come back. The other users, who are pairs, must not be slowed. The node needs limits of users
// (`rates.limit_users`), which config/loadtest.toml lifts.

import { api, atLeast, atMost, Fleet, options as load, parameters, pause, refuse, sendFor, summary, until } from './lib.js';

const BOUNDS = [
  atMost('repeated', 0),
  atMost('closed', 0),
  atLeast('flood_refused', parameters.virtualUsers),
  atLeast('flood_refused_by_http', parameters.virtualUsers),
  atMost('flood_untyped', 0),
  atMost('flood_slowed', 0),
];

export const options = load(BOUNDS);
export const handleSummary = summary('limits', BOUNDS);

if (parameters.socketsLeast < 4) refuse(`SOCKETS is ${parameters.sockets}: limits.js needs at least 4 of each virtual user`);

/** Sends in one turn of the flood, so that the generator answers meanwhile, and milliseconds between two turns. */
const FLOOD_A_TURN = 100;
const TURN = 20;

/** Most milliseconds that a refusal may ask to wait. */
const WAIT_MOST = 60000;

/** The median of the others' latencies may grow by this factor and SLOWER_MS. */
const SLOWER = 3;

/**
 * Whether a refusal says what it is and when to come back.
 * @param {import('./lib/session.js').Frame} refusal a frame, or a problem document
 */
function isTyped({ code, retry, retry_after_ms: wait }) {
  return code === 'rate_limited' && retry === 'later' && Number.isInteger(wait) && wait >= 1 && wait <= WAIT_MOST;
}

/**
 * Sends FLOOD messages as fast as the socket takes them, and returns once one of them is refused.
 * @param {Fleet} fleet
 */
async function flood({ ledger, sessions }) {
  const [from, to] = sessions;
  let left = parameters.flood;
  let refused = 0;
  const answered = (/** @type {import('./lib/session.js').Frame | undefined} */ answer) => {
    if (answer?.op !== 'error') return;
    refused += 1;
    ledger.count('flood_refused');
    if (!isTyped(answer) || answer.for !== 'send') ledger.count('flood_untyped');
  };
  while (left > 0 && from && to) {
    for (let sends = 0; sends < FLOOD_A_TURN && left > 0; sends += 1, left -= 1) {
      from.ask({ op: 'send', user: to.user, body: left }, answered);
    }
    await pause(TURN);
  }
  await until(parameters.settle, () => refused > 0);
}

/**
 * Posts as a user until HTTP refuses, FLOOD times at most, waits as long as it says, and posts again: then it has to be taken.
 * @param {Fleet} fleet
 */
async function floodOverHttp({ ledger, sessions }) {
  const [to, from] = sessions;
  if (!from || !to) return;
  const post = () => api('POST', '/v1/messages', from.token, { user: to.user, body: 'again' });
  for (let posts = 0; posts < parameters.flood; posts += 1) {
    const answer = await post();
    if (answer.status === 201) continue;
    const seconds = Number(answer.headers['Retry-After']);
    ledger.count('flood_refused_by_http');
    if (answer.status !== 429 || !isTyped(answer.json) || !(seconds >= 1)) {
      ledger.explain(`${answer.status} ${answer.text}`);
      ledger.count('flood_untyped');
    }
    await pause(answer.json?.retry_after_ms ?? seconds * 1000);
    const again = await post();
    if (again.status === 201) return;
    ledger.explain(`waited as told, and then ${again.status} ${again.text}`);
    ledger.count('flood_untyped');
    return;
  }
}

/**
 * The pairs that do not flood write to each other for a half of the load; returns the median of their latencies.
 * @param {Fleet} fleet
 */
async function others(fleet) {
  const pairs = Math.floor(fleet.sessions.length / 2) - 1;
  const before = fleet.ledger.latencies.length;
  await sendFor(parameters.duration / 2, (intended, index) => {
    fleet.sendInPair(1 + (index % pairs), Math.floor(index / pairs), intended);
  });
  await until(parameters.settle, () => fleet.ledger.unanswered === 0 && fleet.ledger.owed <= 0);
  const sorted = fleet.ledger.latencies.slice(before).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export default async function () {
  const fleet = new Fleet({ comesBack: false });
  await fleet.open();
  const calm = await others(fleet);
  const flooding = Promise.all([flood(fleet), floodOverHttp(fleet)]);
  const flooded = await others(fleet);
  await flooding;
  if (flooded > SLOWER * calm + parameters.slower) {
    fleet.ledger.count('flood_slowed');
    console.error(`the others' median grew from ${calm} ms to ${flooded} ms`);
  }
  await fleet.close();
}
