// One virtual user: its world, its modules, its iteration. The init context is the loading of the script.

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

import { Interrupt } from './interrupt.mjs';
import { makeModule } from './modules.mjs';

export class VirtualUser {
  constructor(test, number) {
    this.test = test;
    this.number = number;
    this.isInit = true;
    this.modules = new Map();
    /** Timers and sockets: an iteration ends once its promise is kept and none of them is left. */
    this.pending = new Set();
    this.failure = undefined;
    this.wake = () => {};
    this.context = vm.createContext(this.globals(), { name: `virtual user ${number}` });
  }

  globals() {
    const print = (...words) => process.stderr.write(`${words.join(' ')}\n`);
    const console = { log: print, info: print, warn: print, error: print, debug: () => {} };
    return { __ENV: this.test.env, __VU: this.number, __ITER: 0, console, open: (path) => this.open(path) };
  }

  /** `open` of the init context, relative to the folder of the script. */
  open(path) {
    if (!this.isInit) throw new Error('only code declared in the init context can call open()');
    const place = resolve(this.test.folder, path);
    try {
      return this.test.read(place);
    } catch (error) {
      throw new Error(`open ${place}: ${error.code === 'ENOENT' ? 'no such file or directory' : error.message}`);
    }
  }

  /** Runs the init context. */
  async load() {
    this.main = this.module(pathToFileURL(this.test.script).href);
    await this.main.link((specifier, parent) => this.import(specifier, parent));
    await this.main.evaluate();
    this.isInit = false;
  }

  import(specifier, parent) {
    if (specifier === 'k6' || specifier.startsWith('k6/')) {
      if (!this.modules.has(specifier)) this.modules.set(specifier, makeModule(specifier, this));
      return this.modules.get(specifier);
    }
    if (!specifier.startsWith('.')) throw new Error(`k6 has no module ${specifier}`);
    return this.module(new URL(specifier, parent.identifier).href);
  }

  module(url) {
    if (!this.modules.has(url)) {
      const made = new vm.SourceTextModule(this.test.read(url), { context: this.context, identifier: url });
      this.modules.set(url, made);
    }
    return this.modules.get(url);
  }

  exports() {
    return this.main.namespace;
  }

  /** Runs one iteration, for so many milliseconds at most. */
  async iterate(patience) {
    const late = setTimeout(() => this.fail(new Error(`interrupted after ${patience} ms`)), patience);
    const ended = new Promise((done) => {
      this.wake = () => (this.failure || this.isDone ? done() : undefined);
    });
    const iteration = Promise.resolve(this.enter(() => this.exports().default()));
    iteration.then(
      () => this.settle(),
      (error) => this.fail(error),
    );
    await ended;
    clearTimeout(late);
    this.stop();
  }

  get isDone() {
    return this.isSettled && this.pending.size === 0;
  }

  settle() {
    this.isSettled = true;
    this.wake();
  }

  /** Calls the script, here and in every handler. A handler that throws ends the iteration, as in k6. */
  enter(call) {
    try {
      return call();
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  fail(error) {
    if (this.failure) return;
    this.failure = error;
    if (!(error instanceof Interrupt)) process.stderr.write(`${error?.stack ?? error}\n`);
    this.wake();
  }

  /** Adds something that has to be stopped before the iteration ends. */
  hold(held) {
    this.pending.add(held);
  }

  release(held) {
    if (this.pending.delete(held)) this.wake();
  }

  stop() {
    for (const held of this.pending) held.stop();
    this.pending.clear();
  }
}
