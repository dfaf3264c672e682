// The open loop: each send has an intended time, whatever the node does. And the generator's judgement of itself.

import { setTimeout, clearTimeout } from 'k6/timers';

import { parameters, refuse, SECOND } from './parameters.js';
import { loopLag, sendLag } from './report.js';

/** Milliseconds between two looks at how late timers are. */
const PULSE = 50;

/** Sends of one turn of the event loop. What else is due waits for the next turn, so that deliveries are read meanwhile. */
const SENDS_A_TURN = 100;

/**
 * Waits.
 * @param {number} duration milliseconds
 * @returns {Promise<void>}
 */
export const pause = (duration) => new Promise((done) => setTimeout(() => done(), Math.max(0, duration)));

/**
 * Waits until something holds, for `patience` milliseconds at most; returns whether it holds.
 * @param {number} patience
 * @param {() => boolean} holds
 */
export async function until(patience, holds) {
  const LOOK = 20;
  const end = Date.now() + patience;
  while (!holds()) {
    if (Date.now() >= end) return false;
    await pause(LOOK);
  }
  return true;
}

/**
 * Measures how late timers are, until the function that it returns is called.
 */
export function watchLag() {
  let due = Date.now() + PULSE;
  const look = () => {
    const now = Date.now();
    loopLag.add(Math.max(0, now - due));
    due = now + PULSE;
    timer = setTimeout(look, PULSE);
  };
  let timer = setTimeout(look, PULSE);
  return () => clearTimeout(timer);
}

/**
 * Calls `act` with each intended time, `rate` times a second by all virtual users together. It never waits for answers.
 * @param {number} rate
 * @param {number} count
 * @param {(intended: number, index: number) => void} act
 * @returns {Promise<void>}
 */
export function pace(rate, count, act) {
  const gap = (SECOND * parameters.virtualUsers) / rate;
  // Virtual users do not send all at the same time.
  const start = Date.now() + Math.random() * gap;
  return new Promise((done) => {
    let index = 0;
    const turn = () => {
      for (let sends = 0; index < count && sends < SENDS_A_TURN; sends += 1) {
        const intended = start + index * gap;
        if (intended > Date.now()) break;
        sendLag.add(Math.max(0, Date.now() - intended));
        act(intended, index);
        index += 1;
      }
      if (index === count) return done();
      return setTimeout(turn, Math.max(0, Math.ceil(start + index * gap - Date.now())));
    };
    turn();
  });
}

/**
 * Sends at RATE for a time.
 * @param {number} duration milliseconds
 * @param {(intended: number, index: number) => void} act
 */
export function sendFor(duration, act) {
  const { rate, virtualUsers } = parameters;
  const sends = (duration * rate) / (SECOND * virtualUsers);
  if (sends < 1) refuse(`RATE is ${rate}: in ${duration / SECOND} s that is less than one send of each of ${virtualUsers} virtual users`);
  return pace(rate, Math.round(sends), act);
}
