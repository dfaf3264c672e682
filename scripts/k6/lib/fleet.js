// The sessions of one virtual user.

import exec from 'k6/execution';
import { setTimeout, clearTimeout } from 'k6/timers';

import { pace, watchLag } from './generator.js';
import { Ledger } from './ledger.js';
import { firstSocket, parameters, refuse, SECOND, users } from './parameters.js';
import { counters } from './report.js';
import { Session } from './session.js';

export class Fleet {
  /** @param {{comesBack: boolean}} how whether its sessions connect again, and its sends are tried again */
  constructor({ comesBack }) {
    this.number = exec.vu.idInTest;
    this.ledger = new Ledger(this.number, { retries: comesBack });
    const first = firstSocket(this.number - 1);
    const count = firstSocket(this.number) - first;
    const listener = {
      message: this.ledger.message.bind(this.ledger),
      closed: this.closed.bind(this),
    };
    const session = (/** @type {unknown} */ _, /** @type {number} */ place) => {
      const user = users[first + place];
      return new Session(place, user ?? refuse('USERS has too few users'), listener, comesBack);
    };
    /** @type {Session[]} */
    this.sessions = Array.from({ length: count }, session);
    this.stopWatch = watchLag();
    this.tend();
  }

  /** Looks at every session once a second. */
  tend() {
    this.sessions.forEach((session) => session.tend());
    this.timer = setTimeout(() => this.tend(), SECOND);
  }

  /**
   * @param {Session} session
   * @param {string} why
   */
  closed(session, why) {
    if (!this.ledger.counts.closed) console.error(`${session.url} closed the socket of ${session.user}: ${why}`);
    this.ledger.count('closed');
  }

  /** Opens all sessions at CONNECT_RATE. One that cannot be opened ends the test. */
  async open() {
    /** @type {Promise<void>[]} */
    const opening = [];
    await pace(parameters.connectRate, this.sessions.length, (_, place) => {
      const session = this.sessions[place];
      if (session) opening.push(this.openOne(session));
    });
    await Promise.all(opening);
  }

  /** @param {Session} session */
  async openOne(session) {
    const why = await session.open();
    if (why !== undefined) refuse(`cannot connect to ${session.url} as ${session.user}: ${why}`);
  }

  /**
   * The sessions in groups of that size; what is left over is the last group's.
   * @param {number} size
   */
  groups(size) {
    const count = Math.max(1, Math.floor(this.sessions.length / size));
    /** @type {Session[][]} */
    const groups = Array.from({ length: count }, () => []);
    this.sessions.forEach((session, place) => groups[Math.min(count - 1, Math.floor(place / size))]?.push(session));
    return groups;
  }

  /**
   * One of a pair of sessions writes to the other; the pair takes turns.
   * @param {number} pair
   * @param {number} turn
   * @param {number} intended
   */
  sendInPair(pair, turn, intended) {
    const [from, to] = [this.sessions[2 * pair + (turn % 2)], this.sessions[2 * pair + 1 - (turn % 2)]];
    if (from && to) this.ledger.send(from, [to], { user: to.user }, intended);
  }

  /** Waits for what is owed, ends all sessions and reports. */
  async close() {
    await this.ledger.settle();
    this.stop();
    this.ledger.count('reconnects', this.sessions.reduce((sum, { connections }) => sum + Math.max(0, connections - 1), 0));
    this.ledger.report();
    counters.finished.add(1);
  }

  stop() {
    this.sessions.forEach((session) => session.close());
    this.stopWatch();
    if (this.timer !== undefined) clearTimeout(this.timer);
  }
}
