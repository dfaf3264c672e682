// Runs a load test of this folder on Node, for the tests, where k6 itself is not to be had.
//
//   node --experimental-vm-modules scripts/k6/run.mjs SCRIPT [-e NAME=VALUE]...
//
// It offers what the scripts use of k6, as k6 documents it, and nothing else. Each virtual user has a world of its own
// without the globals of Node. A module, an option, an executor or an aggregate that is not offered is an error.
// Exit codes: 0 passed, 99 a threshold has failed (as k6), 2 bad input (k6: 107 or 108).

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

import { Metrics, checkThresholds } from './runner/metrics.mjs';
import { VirtualUser } from './runner/virtual_user.mjs';

const USAGE = 'usage: node --experimental-vm-modules scripts/k6/run.mjs SCRIPT [-e NAME=VALUE]...';

/** A defect of the input or of a script, as one line. */
class Refusal extends Error {}

/** Reads `SCRIPT [-e NAME=VALUE]...`. */
function readArguments(words) {
  const env = {};
  const scripts = [];
  for (let i = 0; i < words.length; i += 1) {
    if (words[i] !== '-e') {
      scripts.push(words[i]);
      continue;
    }
    i += 1;
    const [name, ...value] = (words[i] ?? '').split('=');
    if (!name || value.length === 0) throw new Refusal(`-e needs NAME=VALUE; ${USAGE}`);
    env[name] = value.join('=');
  }
  if (scripts.length !== 1) throw new Refusal(USAGE);
  return { script: resolve(scripts[0]), env };
}

const KNOWN_OPTIONS = ['scenarios', 'thresholds', 'summaryTrendStats'];

/** The one scenario of a script: how many virtual users, and how long each of them may take. */
function readScenario(options) {
  const unknown = Object.keys(options).find((name) => !KNOWN_OPTIONS.includes(name));
  if (unknown) throw new Refusal(`the runner does not offer the option ${unknown}`);
  const scenarios = Object.entries(options.scenarios ?? {});
  if (scenarios.length !== 1) throw new Refusal('the runner runs one scenario, by name');
  const [name, scenario] = scenarios[0];
  const { executor, vus, iterations, maxDuration, gracefulStop } = scenario;
  if (executor !== 'per-vu-iterations' || iterations !== 1) {
    throw new Refusal(`scenario ${name}: the runner offers one iteration of per-vu-iterations`);
  }
  return { name, vus, patience: milliseconds(maxDuration) + milliseconds(gracefulStop) };
}

/** A duration of k6's, such as `90s`. */
function milliseconds(text) {
  const found = /^(\d+)(ms|s|m)$/.exec(text);
  if (!found) throw new Refusal(`the runner does not read the duration ${text}`);
  return Number(found[1]) * { ms: 1, s: 1000, m: 60000 }[found[2]];
}

/** What all virtual users share: the environment, shared arrays, metrics, and whether the test was aborted. */
function makeTest(script, env) {
  const test = {
    script,
    folder: dirname(script),
    env,
    arrays: new Map(),
    metrics: new Metrics(),
    aborted: undefined,
    onAbort: () => {},
    read: (path) => readFileSync(path.startsWith('file://') ? fileURLToPath(path) : path, 'utf8'),
  };
  return test;
}

/** Runs the scenario, and returns when every virtual user has ended or the test was aborted. */
async function runScenario(test, scenario) {
  const users = [];
  for (let number = 1; number <= scenario.vus; number += 1) {
    const user = new VirtualUser(test, number);
    await user.load();
    users.push(user);
  }
  const aborted = new Promise((done) => {
    test.onAbort = done;
  });
  await Promise.race([aborted, Promise.all(users.map((user) => user.iterate(scenario.patience)))]);
  users.forEach((user) => user.stop());
}

/** Writes what `handleSummary` returns: a map from `stdout`, `stderr` or a path to a text. */
function writeSummary(texts) {
  const STREAMS = { stdout: 1, stderr: 2 };
  for (const [place, text] of Object.entries(texts)) {
    try {
      writeFileSync(STREAMS[place] ?? place, text);
    } catch (error) {
      throw new Refusal(`the summary cannot be written to ${place}: ${error.message}`);
    }
  }
}

function refuseIfAborted(test) {
  if (test.aborted !== undefined) throw new Refusal(test.aborted);
}

async function main() {
  if (!vm.SourceTextModule) throw new Refusal(USAGE);
  const { script, env } = readArguments(process.argv.slice(2));
  const test = makeTest(script, env);
  const first = new VirtualUser(test, 0);
  try {
    await first.load();
  } catch (error) {
    refuseIfAborted(test);
    throw new Refusal(error.message);
  }
  const { options, handleSummary } = first.exports();
  const started = Date.now();
  await runScenario(test, readScenario(options));
  refuseIfAborted(test);
  const failed = checkThresholds(test.metrics, options.thresholds ?? {});
  const data = test.metrics.summary(options, failed, Date.now() - started);
  writeSummary(first.enter(() => handleSummary(data)));
  return failed.size === 0 ? 0 : 99;
}

// What the runner writes is one line. Node says of each module of `vm` that it is experimental.
process.removeAllListeners('warning');
process.exitCode = await main().catch((error) => {
  const line = error instanceof Refusal ? error.message : `a defect of the runner: ${error.stack}`;
  writeFileSync(2, `${line}\n`);
  return 2;
});
// Sockets of an aborted test may still be closing.
process.exit();
