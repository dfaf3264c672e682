// What is counted, the bounds of each count, and the one JSON object at the end of a run.

import { Counter, Trend } from 'k6/metrics';

import { parameters, patience } from './parameters.js';

const COUNTS = /** @type {const} */ ([
  'sent', 'acked', 'unknown', 'refused', 'delivered', 'lost', 'duplicate', 'late', 'out_of_order', 'overtaken', 'repeated',
  'stray', 'closed', 'reconnects', 'recovered', 'finished',
]);

/** What limits.js counts besides. */
const FLOOD_COUNTS = /** @type {const} */ (['flood_refused', 'flood_refused_by_http', 'flood_untyped', 'flood_slowed']);

/** @typedef {typeof COUNTS[number] | typeof FLOOD_COUNTS[number]} Count */

export const counters = /** @type {Record<Count, Counter>} */ (
  Object.fromEntries([...COUNTS, ...FLOOD_COUNTS].map((name) => [name, new Counter(name)]))
);

/** From the intended time of a send to each delivery, in milliseconds. */
export const latency = new Trend('latency', true);
/** How late timers and handlers run, in milliseconds. */
export const loopLag = new Trend('generator_lag', true);
/** From the intended time of a send to the send, in milliseconds. */
export const sendLag = new Trend('send_lag', true);

/**
 * A bound of an aggregate of a metric.
 * @typedef {{metric: string, stat: string, is: '<=' | '>=', bound: number}} Bound
 */

/**
 * At most so many.
 * @param {Count} metric
 * @param {number} bound
 * @returns {Bound}
 */
export const atMost = (metric, bound) => ({ metric, stat: 'count', is: '<=', bound });

/**
 * At least so many.
 * @param {Count} metric
 * @param {number} bound
 * @returns {Bound}
 */
export const atLeast = (metric, bound) => ({ metric, stat: 'count', is: '>=', bound });

const P99 = 'p(99)';

/** What holds in every script. @type {Bound[]} */
const BOUNDS = [
  atMost('lost', 0),
  atMost('duplicate', 0),
  atMost('out_of_order', 0),
  atMost('overtaken', parameters.overtaken),
  atMost('stray', 0),
  atMost('unknown', 0),
  atMost('refused', 0),
  atLeast('acked', 1),
  atLeast('finished', parameters.virtualUsers),
  { metric: 'latency', stat: P99, is: '<=', bound: parameters.p99 },
];

/** Beyond these the generator was late by itself, and its figures say nothing of the nodes. @type {Bound[]} */
const GENERATOR = ['generator_lag', 'send_lag'].map((metric) => ({ metric, stat: P99, is: '<=', bound: parameters.lag }));

/**
 * The options of a script: one iteration of each virtual user, and its bounds as thresholds.
 * @param {Bound[]} own
 */
export function options(own) {
  /** @type {Record<string, string[]>} */
  const thresholds = {};
  for (const { metric, stat, is, bound } of [...BOUNDS, ...GENERATOR, ...own]) {
    thresholds[metric] = [...(thresholds[metric] ?? []), `${stat}${is}${bound}`];
  }
  const load = {
    executor: 'per-vu-iterations',
    vus: parameters.virtualUsers,
    iterations: 1,
    maxDuration: `${Math.ceil(patience() / 1000)}s`,
    gracefulStop: '0s',
  };
  return { scenarios: { load }, thresholds, summaryTrendStats: ['count', 'max', 'p(50)', 'p(90)', P99, 'p(99.9)'] };
}

/** @typedef {{metrics: Record<string, {values: Record<string, number>}>}} SummaryData */

/**
 * An aggregate of a metric; a metric without a sample is 0.
 * @param {SummaryData} data
 * @param {string} metric
 * @param {string} stat
 */
const value = (data, metric, stat) => data.metrics[metric]?.values[stat] ?? 0;

/**
 * The bounds that do not hold, each in words.
 * @param {SummaryData} data
 * @param {Bound[]} bounds
 */
function broken(data, bounds) {
  const holds = (/** @type {Bound} */ { metric, stat, is, bound }) => {
    const found = value(data, metric, stat);
    return is === '<=' ? found <= bound : found >= bound;
  };
  const words = (/** @type {Bound} */ { metric, stat, is, bound }) => {
    const [name, unit] = stat === 'count' ? [metric, ''] : [`${stat} of ${metric}`, ' ms'];
    const found = Math.round(value(data, metric, stat) * 1000) / 1000;
    return `${name}: ${found}${unit}, ${is === '<=' ? 'at most' : 'at least'} ${bound}${unit}`;
  };
  return bounds.filter((bound) => !holds(bound)).map(words);
}

/**
 * A percentile in whole microseconds.
 * @param {SummaryData} data
 * @param {string} metric
 * @param {string} stat
 */
const micros = (data, metric, stat) => Math.round(value(data, metric, stat) * 1000);

/**
 * The `handleSummary` of a script: one JSON object on standard output, and in the file SUMMARY if it is given.
 * @param {string} script
 * @param {Bound[]} own
 */
export function summary(script, own) {
  return (/** @type {SummaryData} */ data) => {
    const saturated = broken(data, GENERATOR);
    const failures = saturated.concat(broken(data, [...BOUNDS, ...own]));
    const verdict = saturated.length > 0 ? 'generator saturated' : failures.length > 0 ? 'failed' : 'passed';
    const { sockets, rate, duration } = parameters;
    const names = new Set([...COUNTS, ...own.filter(({ stat }) => stat === 'count').map(({ metric }) => metric)]);
    const report = {
      script, verdict, failures, sockets, rate, duration_ms: duration,
      ...Object.fromEntries([...names].map((name) => [name, value(data, name, 'count')])),
      p50_us: micros(data, 'latency', 'p(50)'),
      p90_us: micros(data, 'latency', 'p(90)'),
      p99_us: micros(data, 'latency', P99),
      p999_us: micros(data, 'latency', 'p(99.9)'),
      max_us: micros(data, 'latency', 'max'),
      generator_lag_p99_us: micros(data, 'generator_lag', P99),
      send_lag_p99_us: micros(data, 'send_lag', P99),
    };
    const text = `${JSON.stringify(report)}\n`;
    return __ENV.SUMMARY ? { stdout: text, [__ENV.SUMMARY]: text } : { stdout: text };
  };
}
