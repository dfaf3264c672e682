// Rooms of GROUP members, of which each writes in turn. A backend's token (SERVICE) makes the rooms.

import { api, atMost, Fleet, options as load, parameters, refuse, sendFor, summary } from './lib.js';

const BOUNDS = [atMost('repeated', 0), atMost('closed', 0)];

export const options = load(BOUNDS);
export const handleSummary = summary('room', BOUNDS);

const service = parameters.service ?? refuse('SERVICE is missing: give the output of `narrowcast token load --scope service`');

/**
 * Makes a room of these users, and returns its conversation.
 * @param {string} id
 * @param {string[]} users raw ids
 * @returns {Promise<string>}
 */
async function makeRoom(id, users) {
  const made = await api('PUT', `/v1/rooms/${id}`, service, {});
  const added = await api('PUT', `/v1/rooms/${id}/members`, service, { members: users.map((user) => ({ user })) });
  const wrong = [made, added].find(({ status }) => status !== 200 && status !== 201);
  if (wrong) refuse(`the room ${id} cannot be made: ${wrong.status} ${wrong.text}`);
  const failed = added.json.members.find((/** @type {{code?: string}} */ member) => member.code);
  if (failed) refuse(`${failed.user} cannot be added to the room ${id}: ${failed.detail}`);
  return made.json.conversation;
}

export default async function () {
  const fleet = new Fleet({ comesBack: false });
  const groups = fleet.groups(parameters.group);
  const stamp = Date.now();
  const conversations = await Promise.all(
    groups.map((group, number) => makeRoom(`load-${stamp}-${fleet.number}-${number}`, group.map(({ user }) => user))),
  );
  await fleet.open();
  await sendFor(parameters.duration, (intended, index) => {
    const place = index % groups.length;
    const [group = [], conversation = ''] = [groups[place], conversations[place]];
    const from = group[Math.floor(index / groups.length) % group.length];
    if (!from) return;
    const others = group.filter((session) => session !== from);
    fleet.ledger.send(from, others, { conversation }, intended);
  });
  await fleet.close();
}
