// The socket of one user, which comes back with its cursor if the script wants that.

import { setTimeout, clearTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';

import { parameters, refuse } from './parameters.js';
import { loopLag } from './report.js';

/** Milliseconds before the first attempt to come back, and the most that doubling makes of them. */
const BACKOFF_FIRST = 100;
const BACKOFF_MOST = 5000;

/** Milliseconds of silence behind `ping_ms` before a ping, and behind that before the socket counts as dead. */
const SILENCE = 10000;
const PONG_PATIENCE = 5000;

/** Pages that a reload reads of one conversation. */
const PAGES_MOST = 100;

/** The generator ran out of files, whatever the node says. */
const NO_FILES = /EMFILE|ENFILE|too many open files/;

/**
 * @typedef {Record<string, any>} Frame
 * @typedef {object} Listener
 * @property {(session: Session, message: Frame, at: number, recovered: boolean) => void} message a message, or an event
 * @property {(session: Session, why: string) => void} closed the connection ended, and not by the script
 */

/**
 * The canonical spelling of a raw user id.
 * @param {string} user
 */
function canonical(user) {
  const hex = (/** @type {string} */ byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`;
  const plain = (/** @type {string} */ code) => decodeURIComponent(code);
  return encodeURIComponent(user).replace(/%(?:40|3A|2B|3D|7C)/g, plain).replace(/[.!*'()]/g, hex);
}

/**
 * Whether a client that is closed with this code has to be mended first.
 * @param {number} code
 */
const isFinal = (code) => (code >= 4000 && code < 4100) || [1002, 1003, 1007, 1009].includes(code);

export class Session {
  /**
   * @param {number} place its number among the sessions of the virtual user
   * @param {import('./parameters.js').User} user
   * @param {Listener} listener
   * @param {boolean} comesBack
   */
  constructor(place, user, listener, comesBack) {
    this.place = place;
    this.user = user.user;
    this.token = user.token;
    this.listener = listener;
    this.comesBack = comesBack;
    this.node = place;
    /** Connections that were accepted. */
    this.connections = 0;
    this.isLive = false;
    this.isOver = false;
    this.attempts = 0;
    this.heard = 0;
    /** @type {string | undefined} */
    this.cursor = undefined;
    /** @type {Map<number, (answer: Frame | undefined) => void>} */
    this.asked = new Map();
    /** Requests that wait for a connection. @type {(() => void)[]} */
    this.waiting = [];
    this.lastId = 0;
    /** The number of the latest send that came from each sender. @type {Map<number, number>} */
    this.newest = new Map();
  }

  /**
   * Opens the first connection. Returns why there is no session, or nothing once its first cursor is here.
   * @returns {Promise<string | undefined>}
   */
  open() {
    return new Promise((done) => {
      this.opened = done;
      this.since = Date.now();
      this.connect();
    });
  }

  connect() {
    const base = parameters.urls[this.node % parameters.urls.length] ?? '';
    this.url = base;
    // A balancer places sessions by this; the id is encoded once more for the URL.
    const socket = new WebSocket(`${base}?user=${encodeURIComponent(canonical(this.user))}`, null);
    this.socket = socket;
    this.error = '';
    this.heard = Date.now();
    const listen = (/** @type {import('k6/websockets').EventName} */ name, /** @type {(event: any) => void} */ act) => {
      // A socket that was given up may still have its say.
      socket.addEventListener(name, (event) => (this.socket === socket ? act(event) : undefined));
    };
    listen('open', () => socket.send(JSON.stringify(this.hello())));
    listen('message', (event) => this.receive(event));
    listen('ping', () => {
      this.heard = Date.now();
    });
    listen('error', ({ error }) => {
      this.error = error;
    });
    listen('close', (event) => this.end(event));
  }

  hello() {
    const { token, cursor } = this;
    return { op: 'hello', token, client: 'k6/1', device: 'k6', ...(cursor && { cursor }) };
  }

  /** @param {{data: string, timestamp: number}} event */
  receive({ data, timestamp }) {
    this.heard = Date.now();
    // The time between the arrival of a frame and its handler is lag of the generator.
    loopLag.add(Math.max(0, this.heard - Math.ceil(timestamp)));
    const frame = JSON.parse(data);
    if (frame.op === 'message') this.listener.message(this, frame.message, timestamp, false);
    else if (frame.op === 'event') this.listener.message(this, frame, timestamp, false);
    else if (frame.op === 'ready') this.ping = frame.ping_ms;
    else if (frame.op === 'cursor') this.advance(frame);
    else if (frame.id !== undefined) this.answer(frame);
    else if (frame.op === 'error') this.error = `${frame.code}: ${frame.detail}`;
  }

  /**
   * Keeps the cursor. The first one of a connection tells what it missed.
   * @param {Frame} frame
   */
  advance(frame) {
    this.cursor = frame.cursor;
    for (const gap of frame.gaps ?? []) this.load({ conversation: gap.conversation, after: gap.after }, gap.before);
    if (frame.resumed === false && frame.reason !== 'no_cursor') this.reload();
    if (this.isLive) return;
    this.isLive = true;
    this.connections += 1;
    this.attempts = 0;
    this.waiting.splice(0).forEach((request) => request());
    this.opened?.(undefined);
    this.opened = undefined;
  }

  /** @param {Frame} frame */
  answer(frame) {
    const asker = this.asked.get(frame.id);
    this.asked.delete(frame.id);
    asker?.(frame);
  }

  /**
   * Sends a request. Without a connection it waits for the next one, if the session comes back.
   * @param {Frame} frame
   * @param {(answer: Frame | undefined) => void} answered is called with nothing if the connection ends before
   */
  ask(frame, answered) {
    if (!this.isLive) {
      if (this.isOver || !this.comesBack) answered(undefined);
      else this.waiting.push(() => this.ask(frame, answered));
      return;
    }
    this.lastId += 1;
    this.asked.set(this.lastId, answered);
    this.socket?.send(JSON.stringify({ ...frame, id: this.lastId }));
  }

  /**
   * The answer to a request, or nothing if the connection ends before.
   * @param {Frame} frame
   * @returns {Promise<Frame | undefined>}
   */
  request(frame) {
    return new Promise((done) => this.ask(frame, done));
  }

  /**
   * Loads history from a position on, up to a message or to the end.
   * @param {Frame} from
   * @param {string} [before]
   */
  async load(from, before) {
    /** @type {Frame} */
    let query = from;
    for (let page = 0; page < PAGES_MOST; page += 1) {
      const answer = await this.request({ op: 'history', limit: 200, ...query });
      const messages = /** @type {Frame[]} */ (answer?.messages ?? []);
      messages.forEach((message) => this.listener.message(this, message, Date.now(), true));
      const isBehind = messages.some(({ id, sent_at }) => (before ? id >= before : sent_at < (this.since ?? 0)));
      if (!answer?.next || isBehind) return;
      query = { conversation: from.conversation, page: answer.next };
    }
  }

  /** Loads what is of this run from every conversation of the inbox. */
  async reload() {
    /** @type {Frame} */
    let query = {};
    do {
      const answer = await this.request({ op: 'inbox', limit: 100, ...query });
      for (const { conversation } of answer?.conversations ?? []) await this.load({ conversation });
      query = { page: answer?.next };
    } while (query.page);
  }

  /** @param {{code?: number, reason?: string}} event */
  end({ code = 1006, reason = '' }) {
    const wasLive = this.isLive;
    this.isLive = false;
    const asked = [...this.asked.values()];
    this.asked.clear();
    const why = `${code}${reason && ` ${reason}`}${this.error && `, ${this.error}`}`;
    if (NO_FILES.test(this.error ?? '')) {
      refuse(`${this.url} for ${this.user}: too many open files: lower SOCKETS, or raise \`ulimit -n\` of the generator`);
    }
    asked.forEach((answered) => answered(undefined));
    if (this.isOver) return;
    if (this.opened) {
      this.isOver = true;
      this.opened(why);
      return;
    }
    if (wasLive) this.listener.closed(this, why);
    if (this.comesBack && isFinal(code)) refuse(`${this.url} closed the socket of ${this.user}: ${why}`);
    if (this.comesBack) this.comeBack(code);
    else this.isOver = true;
  }

  /**
   * Connects again, to another node: those of a dead node spread over all the others.
   * @param {number} code
   */
  comeBack(code) {
    const isAtOnce = code >= 4200 && code < 4300 && this.attempts === 0;
    const most = Math.min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** this.attempts);
    this.attempts += 1;
    this.node += 1 + Math.floor(Math.random() * (parameters.urls.length - 1));
    this.timer = setTimeout(() => this.connect(), isAtOnce ? 0 : most * (0.5 + Math.random() / 2));
  }

  /** Looks for silence: a node or a network that went away without a word. */
  tend() {
    if (!this.isLive || this.isOver) return;
    const silent = Date.now() - this.heard - (this.ping ?? 0) - SILENCE;
    if (silent > PONG_PATIENCE) this.giveUp();
    else if (silent > 0) this.ask({ op: 'ping' }, () => {});
  }

  /** Ends a connection that is silent. Its end may never be told, so nothing waits for that. */
  giveUp() {
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
    this.end({ reason: 'silent' });
  }

  /** Ends the connection from this side. */
  drop() {
    this.isLive = false;
    const socket = this.socket;
    if (socket && socket.readyState < WebSocket.CLOSING) socket.close();
  }

  /** Ends the session. */
  close() {
    this.isOver = true;
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.waiting = [];
    this.drop();
  }
}
