// What a virtual user sent, to whom it is owed, and what came. Its sessions are all in one virtual user, so it knows.

import { setTimeout } from 'k6/timers';

import { until } from './generator.js';
import { parameters } from './parameters.js';
import { counters, latency } from './report.js';

/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./session.js').Frame} Frame */
/** @typedef {import('./report.js').Count} Count */

/**
 * A send.
 * @typedef {object} Entry
 * @property {Session} from
 * @property {Session[]} to whom it is owed
 * @property {number} intended
 * @property {'waiting' | 'acked' | 'refused' | 'unknown'} state
 * @property {number} tries
 * @property {string | undefined} id
 * @property {Map<number, {id: string | undefined, dedup: string | undefined}>} got by the places of sessions
 */

/** Milliseconds before a refused or unanswered send is tried again. */
const RETRY = 200;

/** Milliseconds without anything owed, in which a repeat may still come. */
const QUIET = 300;

export class Ledger {
  /**
   * @param {number} number the virtual user
   * @param {{retries: boolean}} how whether sends are tried again under their nonce
   */
  constructor(number, { retries }) {
    this.run = `${number}-${Date.now()}-${Math.floor(Math.random() * 1e9)}`;
    this.retries = retries;
    /** @type {Entry[]} */
    this.entries = [];
    /** Sends without an answer, and deliveries that are owed. */
    this.unanswered = 0;
    this.owed = 0;
    this.isOver = false;
    /** Milliseconds, one for each delivery. @type {number[]} */
    this.latencies = [];
    this.counts = /** @type {Record<Count, number>} */ ({});
    /** The first refusal, in words. */
    this.refusal = '';
    this.pad = 'x'.repeat(parameters.bytes);
  }

  /**
   * @param {Count} name
   * @param {number} more
   */
  count(name, more = 1) {
    this.counts[name] = (this.counts[name] ?? 0) + more;
  }

  /**
   * Keeps the first refusal for the end of the run.
   * @param {string} refusal
   */
  explain(refusal) {
    if (!this.refusal) this.refusal = refusal;
  }

  /**
   * @param {Session} from
   * @param {Session[]} to
   * @param {number} intended
   * @returns {Entry}
   */
  enter(from, to, intended) {
    /** @type {Entry} */
    const entry = { from, to, intended, state: 'waiting', tries: 0, id: undefined, got: new Map() };
    this.entries.push(entry);
    this.count('sent');
    this.unanswered += 1;
    this.owed += to.length;
    return entry;
  }

  /**
   * What a send carries: its run, its number, its sender and its intended time.
   * @param {Session} from
   * @param {number} intended
   */
  body(from, intended) {
    return { run: this.run, n: this.entries.length, from: from.place, at: intended, pad: this.pad };
  }

  /**
   * Sends a message.
   * @param {Session} from
   * @param {Session[]} to
   * @param {{user: string} | {conversation: string}} target
   * @param {number} intended
   */
  send(from, to, target, intended) {
    const body = this.body(from, intended);
    const nonce = `${this.run}-${body.n}`;
    this.attempt(this.enter(from, to, intended), { op: 'send', ...target, body, nonce });
  }

  /**
   * Publishes an event. It has no nonce, so it is never tried again.
   * @param {Session} from
   * @param {Session[]} to
   * @param {string} subject
   * @param {number} intended
   */
  publish(from, to, subject, intended) {
    const data = this.body(from, intended);
    this.attempt(this.enter(from, to, intended), { op: 'publish', subject, data });
  }

  /**
   * @param {Entry} entry
   * @param {Frame} frame
   */
  attempt(entry, frame) {
    entry.tries += 1;
    // A first try says so, which saves the node the look-up of the nonce.
    const fresh = entry.tries === 1 && frame.nonce ? { fresh: true } : {};
    entry.from.ask({ ...frame, ...fresh }, (answer) => this.answered(entry, frame, answer));
  }

  /**
   * @param {Entry} entry
   * @param {Frame} frame
   * @param {Frame | undefined} answer
   */
  answered(entry, frame, answer) {
    if (answer && answer.op !== 'error') return this.settleEntry(entry, 'acked', answer.message?.id);
    const isUnknown = !answer || answer.code === 'outcome_unknown';
    if (!this.isOver && this.retries && (isUnknown || answer.retry !== 'never')) {
      setTimeout(() => this.again(entry, frame), answer?.retry_after_ms ?? RETRY);
      return undefined;
    }
    if (answer) this.explain(`${answer.code}: ${answer.detail}`);
    return this.settleEntry(entry, isUnknown ? 'unknown' : 'refused');
  }

  /**
   * @param {Entry} entry
   * @param {Frame} frame
   */
  again(entry, frame) {
    if (this.isOver) this.settleEntry(entry, 'unknown');
    else this.attempt(entry, frame);
  }

  /**
   * @param {Entry} entry
   * @param {'acked' | 'refused' | 'unknown'} state
   * @param {string} [id]
   */
  settleEntry(entry, state, id) {
    if (entry.state !== 'waiting') return;
    entry.state = state;
    entry.id = id;
    this.unanswered -= 1;
    // What is not acknowledged is owed to no session.
    if (state !== 'acked') this.owed -= entry.to.length - entry.got.size;
    this.count(state);
  }

  /**
   * Notes a message or an event.
   * @param {Session} session
   * @param {Frame} frame
   * @param {number} at when it arrived
   * @param {boolean} recovered whether it was read from history
   */
  message(session, frame, at, recovered) {
    const { run, n } = frame.body ?? frame.data ?? {};
    const entry = run === this.run ? this.entries[n] : undefined;
    if (!entry) return undefined;
    // A resume brings a sender its own messages.
    if (!entry.to.includes(session)) return entry.from === session ? undefined : this.count('stray');
    const seen = entry.got.get(session.place);
    if (seen) return this.repeat(entry, seen, frame);
    entry.got.set(session.place, { id: frame.id, dedup: frame.dedup });
    if (entry.state === 'waiting' || entry.state === 'acked') this.owed -= 1;
    this.count('delivered');
    const took = Math.max(0, at - entry.intended);
    this.latencies.push(took);
    latency.add(took);
    if (took > parameters.late) this.count('late');
    if (recovered) this.count('recovered');
    else this.checkFrames(session, entry, n, frame.id !== undefined);
    return undefined;
  }

  /**
   * Notes one that this session had. The same id is a repeat, which clients drop. Two rows of a send that was tried
   * again are one message if they share their `dedup`.
   * @param {Entry} entry
   * @param {{id: string | undefined, dedup: string | undefined}} seen
   * @param {Frame} frame
   */
  repeat(entry, seen, frame) {
    const isSame = frame.id !== undefined && seen.id === frame.id;
    const isOneSend = entry.tries > 1 && frame.dedup !== undefined && seen.dedup === frame.dedup;
    this.count(isSame || isOneSend ? 'repeated' : 'duplicate');
  }

  /**
   * Notes a frame that comes behind a later one of its sender. Events keep their order. Messages may overtake each other,
   * because clients sort them by id.
   * @param {Session} session
   * @param {Entry} entry
   * @param {number} n
   * @param {boolean} isMessage
   */
  checkFrames(session, entry, n, isMessage) {
    const before = session.newest.get(entry.from.place);
    if (before === undefined || n > before) session.newest.set(entry.from.place, n);
    else if (session.connections <= 1 && entry.tries === 1) this.count(isMessage ? 'overtaken' : 'out_of_order');
  }

  /**
   * Ids follow the order of the sends of a session that has neither come back nor tried again: in the answers, and at
   * every session that has the messages.
   */
  checkIds() {
    /** @type {Map<string, string>} */
    const newest = new Map();
    const check = (/** @type {string} */ key, /** @type {string | undefined} */ id) => {
      if (id === undefined) return;
      if (id < (newest.get(key) ?? '')) this.count('out_of_order');
      else newest.set(key, id);
    };
    for (const { from, id, tries, got } of this.entries) {
      if (tries > 1 || from.connections > 1) continue;
      check(`${from.place}`, id);
      got.forEach((delivery, place) => check(`${from.place} ${place}`, delivery.id));
    }
  }

  /** Waits until all is answered and delivered, for SETTLE at most. */
  async settle() {
    await until(parameters.settle, () => this.unanswered === 0 && this.owed <= 0);
    await until(QUIET, () => false);
    this.isOver = true;
    this.entries.forEach((entry) => this.settleEntry(entry, 'unknown'));
  }

  /** Adds all counts to the metrics, and says once why something was refused. */
  report() {
    this.checkIds();
    for (const { state, to, got } of this.entries) {
      if (state === 'acked') this.count('lost', to.length - got.size);
    }
    for (const [name, count] of Object.entries(this.counts)) counters[/** @type {Count} */ (name)].add(count);
    if (this.refusal) console.error(`the first refusal: ${this.refusal}`);
  }
}
