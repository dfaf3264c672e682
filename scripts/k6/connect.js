// Connections: opens sockets at RATE, holds them for DURATION, and asks each whether it is alive.
//
// `sent` counts attempts, `acked` sessions with their first cursor, `delivered` those that answered at the end. Latency is
// from the intended time of a connection to its first cursor.

import { atMost, counters, Fleet, latency, options as load, pace, parameters, pause, refuse, summary, until } from './lib.js';

const BOUNDS = [atMost('closed', 0)];

export const options = load(BOUNDS);
export const handleSummary = summary('connect', BOUNDS);

/**
 * Opens one session. If not a single one can be opened, nothing is measured, and the test ends.
 * @param {Fleet} fleet
 * @param {number} place
 * @param {number} intended
 */
async function connect({ ledger, sessions }, place, intended) {
  const session = sessions[place];
  ledger.count('sent');
  const why = await session?.open();
  if (why === undefined) {
    ledger.count('acked');
    latency.add(Math.max(0, Date.now() - intended));
    return;
  }
  if (!ledger.counts.acked) refuse(`cannot connect to ${session?.url} as ${session?.user}: ${why}`);
  ledger.explain(why);
  ledger.count('refused');
}

/**
 * Asks every session for a pong.
 * @param {Fleet} fleet
 */
async function ping({ ledger, sessions }) {
  let asked = sessions.length;
  let answers = 0;
  for (const session of sessions) {
    session.ask({ op: 'ping' }, (pong) => {
      asked -= 1;
      if (pong) answers += 1;
    });
  }
  await until(parameters.settle, () => asked === 0);
  ledger.count('delivered', answers);
  ledger.count('lost', (ledger.counts.acked ?? 0) - answers);
}

export default async function () {
  const fleet = new Fleet({ comesBack: false });
  /** @type {Promise<void>[]} */
  const opening = [];
  await pace(parameters.rate, fleet.sessions.length, (intended, place) => {
    opening.push(connect(fleet, place, intended));
  });
  await Promise.all(opening);
  await pause(parameters.duration);
  await ping(fleet);
  fleet.stop();
  fleet.ledger.report();
  counters.finished.add(1);
}
