// Direct messages to sessions that come and go: every DROP_EVERY each virtual user ends one socket. Sessions also come back,
// on another node of URL, when a node or a network ends them. They resume by their cursors, fill gaps from history, and
// try unanswered sends again under their nonces.

import { atLeast, Fleet, options as load, parameters, pause, sendFor, summary } from './lib.js';

const BOUNDS = [atLeast('reconnects', 1)];

export const options = load(BOUNDS);
export const handleSummary = summary('reconnect', BOUNDS);

/**
 * Drops a session now and then until the load ends.
 * @param {Fleet} fleet
 */
async function drop(fleet) {
  const end = Date.now() + parameters.duration;
  for (;;) {
    await pause(Math.min(parameters.dropEvery, end - Date.now()));
    fleet.sessions[Math.floor(Math.random() * fleet.sessions.length)]?.drop();
    if (Date.now() >= end) return;
  }
}

export default async function () {
  const fleet = new Fleet({ comesBack: true });
  await fleet.open();
  const dropping = drop(fleet);
  const pairs = Math.floor(fleet.sessions.length / 2);
  await sendFor(parameters.duration, (intended, index) => fleet.sendInPair(index % pairs, Math.floor(index / pairs), intended));
  await dropping;
  await fleet.close();
}
