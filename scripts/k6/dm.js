// Direct messages: the sessions are pairs, and each of a pair writes to the other.

import { atMost, Fleet, options as load, parameters, sendFor, summary } from './lib.js';

const BOUNDS = [atMost('repeated', 0), atMost('closed', 0)];

export const options = load(BOUNDS);
export const handleSummary = summary('dm', BOUNDS);

export default async function () {
  const fleet = new Fleet({ comesBack: false });
  await fleet.open();
  const pairs = Math.floor(fleet.sessions.length / 2);
  await sendFor(parameters.duration, (intended, index) => fleet.sendInPair(index % pairs, Math.floor(index / pairs), intended));
  await fleet.close();
}
