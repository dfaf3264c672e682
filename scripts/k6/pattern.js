// Events: GROUP listeners of each topic, by patterns of both kinds, of which each publishes in turn. The tokens need the
// grants `--publish 'topic.>' --subscribe 'topic.>'`.

import { atMost, Fleet, options as load, parameters, refuse, sendFor, summary } from './lib.js';

const BOUNDS = [atMost('closed', 0)];

export const options = load(BOUNDS);
export const handleSummary = summary('pattern', BOUNDS);

/**
 * Subscribes a session, and returns once the pattern is heard.
 * @param {Fleet['sessions'][number]} session
 * @param {string} pattern
 */
async function subscribe(session, pattern) {
  const answer = await session.request({ op: 'subscribe', patterns: [pattern] });
  if (answer?.op !== 'ok') refuse(`${session.user} cannot subscribe ${pattern}: ${answer?.code} ${answer?.detail}`);
}

export default async function () {
  const fleet = new Fleet({ comesBack: false });
  await fleet.open();
  const groups = fleet.groups(parameters.group);
  // A topic of this run alone: listeners of an earlier run may be there still.
  const topic = (/** @type {number} */ group) => `topic.load-${fleet.ledger.run}-${group}`;
  const listen = groups.flatMap((group, number) =>
    group.map((session, place) => subscribe(session, `${topic(number)}.${place % 2 === 0 ? '*' : '>'}`)),
  );
  await Promise.all(listen);
  await sendFor(parameters.duration, (intended, index) => {
    const place = index % groups.length;
    const group = groups[place] ?? [];
    const from = group[Math.floor(index / groups.length) % group.length];
    if (from) fleet.ledger.publish(from, group, `${topic(place)}.goal`, intended);
  });
  await fleet.close();
}
