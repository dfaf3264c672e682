// The modules of k6 that the scripts import, each for one virtual user.

import vm from 'node:vm';

import { asyncRequest } from './http.mjs';
import { Interrupt } from './interrupt.mjs';
import { makeWebSocket } from './websocket.mjs';

const MODULES = {
  'k6/data': data,
  'k6/encoding': encoding,
  'k6/execution': execution,
  'k6/http': http,
  'k6/metrics': metrics,
  'k6/timers': timers,
  'k6/websockets': (user) => ({ WebSocket: makeWebSocket(user) }),
};

/** A module of k6 in the world of a virtual user. */
export function makeModule(name, user) {
  const make = MODULES[name];
  if (!make) throw new Error(`the runner does not offer the module ${name}`);
  const exported = make(user);
  exported.default ??= { ...exported };
  const names = Object.keys(exported);
  const fill = function fill() {
    names.forEach((each) => this.setExport(each, exported[each]));
  };
  return new vm.SyntheticModule(names, fill, { context: user.context, identifier: name });
}

/** An array that is made once, and of which every virtual user reads copies. */
function data(user) {
  function SharedArray(name, make) {
    if (!user.isInit) throw new Error('new SharedArray must be called in the init context');
    const { arrays } = user.test;
    if (!arrays.has(name)) arrays.set(name, Array.from(make(), (item) => JSON.stringify(item)));
    const items = arrays.get(name);
    const at = (place) => (items[place] === undefined ? undefined : Object.freeze(JSON.parse(items[place])));
    const refuse = () => {
      throw new TypeError('SharedArray is immutable');
    };
    const isIndex = (key) => typeof key === 'string' && /^\d+$/.test(key);
    const get = (target, key) => {
      if (key === 'length') return items.length;
      return isIndex(key) ? at(Number(key)) : undefined;
    };
    return new Proxy({}, { get, set: refuse, deleteProperty: refuse });
  }
  return { SharedArray };
}

function encoding() {
  const b64decode = (text, variant, format) => {
    if (variant !== 'rawurl' || format !== 's') throw new Error('the runner decodes rawurl to s alone');
    return Buffer.from(text, 'base64url').toString('utf8');
  };
  return { b64decode };
}

function execution(user) {
  const abort = (message) => {
    if (user.test.aborted === undefined) user.test.aborted = message ? `test aborted: ${message}` : 'test aborted';
    const interrupt = new Interrupt(user.test.aborted);
    user.fail(interrupt);
    user.test.onAbort();
    throw interrupt;
  };
  const outsideInit = (name, value) => {
    if (user.isInit) throw new Error(`getting ${name} information in the init context is not supported`);
    return value;
  };
  const vu = {
    get idInTest() {
      return outsideInit('VU', user.number);
    },
  };
  return { test: { abort }, vu };
}

function http(user) {
  return { asyncRequest: (...request) => asyncRequest(user, ...request) };
}

function metrics(user) {
  const type = (kind) =>
    class {
      constructor(name, isTime = false) {
        if (!user.isInit) throw new Error('metrics must be declared in the init context');
        this.name = name;
        this.metric = user.test.metrics.declare(kind, name, isTime);
      }

      add(value) {
        if (user.isInit) throw new Error('metrics are not added to in the init context');
        if (!Number.isFinite(value)) throw new TypeError(`${value} is an invalid value for metric '${this.name}'`);
        this.metric.values.push(value);
      }
    };
  return { Counter: type('counter'), Trend: type('trend') };
}

/** Timers that count as work of the iteration, and whose functions run as the script's. */
function timers(user) {
  const held = new Map();
  let last = 0;
  const setLater = (run, delay = 0, ...values) => {
    last += 1;
    const number = last;
    const fire = () => {
      user.enter(() => run(...values));
      clear(number);
    };
    const timer = setTimeout(fire, delay);
    held.set(number, { stop: () => clearTimeout(timer) });
    user.hold(held.get(number));
    return number;
  };
  const clear = (number) => {
    const found = held.get(number);
    if (!found) return;
    found.stop();
    held.delete(number);
    user.release(found);
  };
  return { setTimeout: setLater, clearTimeout: clear };
}
