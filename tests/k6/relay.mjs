// A relay between a load test and the nodes that breaks what they promise, for the negative controls.
//
//   node relay.mjs lose|double|swap|mislabel|cut N URL...
//
// Of all deliveries it loses or doubles each Nth, or swaps it with the next one of the same sender on that connection. With
// `mislabel` these two exchange their ids. With `cut` it ends all connections of the first URL once N deliveries came, and takes no more of them. It prints its own URLs
// as one line of JSON.

import { createRequire } from 'node:module';

const require = createRequire(new URL('../../target/k6/', import.meta.url));
const { WebSocket, WebSocketServer } = require('ws');

const [mode, every, ...targets] = process.argv.slice(2);
const N = Number(every);
let deliveries = 0;

/** The sender of a delivery, as the load test names it; nothing for other frames. */
function senderOf(text) {
  const { op, message, data } = JSON.parse(text);
  return op === 'message' || op === 'event' ? (message?.body ?? data)?.from : undefined;
}

/** Two messages with each other's ids. */
function exchangeIds(one, two) {
  const [first, second] = [JSON.parse(one), JSON.parse(two)];
  [first.message.id, second.message.id] = [second.message.id, first.message.id];
  return [JSON.stringify(first), JSON.stringify(second)];
}

/** What becomes of each frame of one connection. */
function makeForward(send) {
  let held;
  return (text) => {
    const sender = senderOf(text);
    if (sender === undefined) return send(text);
    deliveries += 1;
    const isStruck = deliveries % N === 0;
    if (mode === 'cut' && deliveries === N) cut();
    if (mode === 'lose' && isStruck) return undefined;
    if (mode === 'double' && isStruck) send(text);
    if (['swap', 'mislabel'].includes(mode) && isStruck && !held) {
      held = { sender, text };
      return undefined;
    }
    if (held?.sender !== sender) return send(text);
    const pair = mode === 'swap' ? [text, held.text] : exchangeIds(held.text, text);
    held = undefined;
    return pair.forEach(send);
  };
}

/** Joins a client with a node, both ways. */
function join(client, target, query) {
  const node = new WebSocket(target + query, { perMessageDeflate: false });
  const early = [];
  const forward = makeForward((text) => client.readyState === WebSocket.OPEN && client.send(text));
  client.on('message', (data) => (node.readyState === WebSocket.OPEN ? node.send(String(data)) : early.push(String(data))));
  node.on('open', () => early.splice(0).forEach((text) => node.send(text)));
  node.on('message', (data) => forward(String(data)));
  client.on('close', () => node.terminate());
  node.on('close', () => client.terminate());
  // The `close` that follows says all.
  client.on('error', () => {});
  node.on('error', () => {});
}

const servers = targets.map((target) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  server.on('connection', (client, request) => join(client, target, new URL(request.url, 'ws://relay').search));
  return server;
});

function cut() {
  servers[0].clients.forEach((client) => client.terminate());
  servers[0].close();
}

await Promise.all(servers.map((server) => new Promise((done) => server.once('listening', done))));
const urls = servers.map((server) => `ws://127.0.0.1:${server.address().port}/v1/ws`);
process.stdout.write(`${JSON.stringify({ urls })}\n`);
