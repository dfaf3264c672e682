// The class `WebSocket` of `k6/websockets`, on the package `ws`, which scripts/test installs below target/.

import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../target/k6/', import.meta.url));

const EVENTS = ['open', 'message', 'close', 'error', 'ping', 'pong'];
const STATES = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };

function loadPackage() {
  try {
    return require('ws').WebSocket;
  } catch {
    throw new Error('the package ws is missing below target/k6: scripts/test installs it');
  }
}

/** The class for one virtual user. */
export function makeWebSocket(user) {
  const Connection = loadPackage();
  class WebSocket {
    constructor(url, protocols, params) {
      if (user.isInit) throw new Error('a WebSocket is made in the VU context alone');
      this.url = url;
      this.readyState = STATES.CONNECTING;
      this.listeners = new Map(EVENTS.map((event) => [event, []]));
      const headers = params?.headers;
      this.connection = new Connection(url, { headers, perMessageDeflate: false, skipUTF8Validation: true });
      this.held = { stop: () => this.connection.terminate() };
      user.hold(this.held);
      this.wire();
    }

    wire() {
      const { connection } = this;
      connection.on('open', () => {
        if (this.readyState !== STATES.CONNECTING) return;
        this.readyState = STATES.OPEN;
        this.tell('open');
      });
      connection.on('message', (data, isBinary) => {
        // As in k6, nothing is told once the script has begun to close.
        if (this.readyState === STATES.OPEN) this.tell('message', { data: isBinary ? data : data.toString('utf8') });
      });
      connection.on('ping', () => this.tell('ping'));
      connection.on('pong', () => this.tell('pong'));
      connection.on('error', (error) => this.tell('error', { error: error.message }));
      connection.on('close', (code, reason) => this.closed(code, reason.toString()));
    }

    closed(code, reason) {
      this.readyState = STATES.CLOSED;
      // As in k6, an end without a close frame has no code of the peer's.
      this.tell('close', code === 1006 ? { reason } : { code, reason });
      user.release(this.held);
    }

    tell(type, more) {
      const timestamp = performance.timeOrigin + performance.now();
      const event = { type, target: this, timestamp, ...more };
      const listeners = [this[`on${type}`], ...this.listeners.get(type)].filter(Boolean);
      listeners.forEach((listener) => user.enter(() => listener(event)));
    }

    addEventListener(type, listener) {
      if (!this.listeners.has(type)) throw new Error(`no such event: ${type}`);
      this.listeners.get(type).push(listener);
    }

    send(text) {
      if (this.readyState !== STATES.OPEN) throw new Error('InvalidStateError');
      this.connection.send(text);
    }

    get bufferedAmount() {
      return this.connection.bufferedAmount;
    }

    ping() {
      this.connection.ping();
    }

    close(code = 1000, reason = '') {
      if (this.readyState >= STATES.CLOSING) return;
      this.readyState = STATES.CLOSING;
      this.connection.close(code, reason);
    }
  }
  return Object.assign(WebSocket, STATES);
}
