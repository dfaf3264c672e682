// The metrics of k6: what scripts add to them, their aggregates, thresholds, and the data of `handleSummary`.

const AGGREGATES = {
  counter: (values, seconds) => {
    const count = values.reduce((sum, value) => sum + value, 0);
    return { count, rate: seconds > 0 ? count / seconds : 0 };
  },
};

/** All metrics of a test, by name. */
export class Metrics {
  constructor() {
    this.all = new Map();
  }

  /** The metric of that name; each virtual user declares it once more, as in k6. */
  declare(type, name, isTime) {
    const known = this.all.get(name);
    if (known && known.type !== type) throw new Error(`metric '${name}' is a ${known.type} already`);
    if (!known) this.all.set(name, { type, contains: isTime ? 'time' : 'default', values: [] });
    return this.all.get(name);
  }

  /** What `handleSummary` is given. As in k6, a metric without a sample is there only if it has a threshold. */
  summary(options, failed, elapsed) {
    const metrics = {};
    for (const [name, metric] of this.all) {
      const limits = options.thresholds?.[name];
      if (metric.values.length === 0 && !limits) continue;
      const values = aggregates(metric, elapsed / 1000, options.summaryTrendStats);
      metrics[name] = { type: metric.type, contains: metric.contains, values };
      if (limits) metrics[name].thresholds = verdicts(limits, failed, name);
    }
    const state = { isStdOutTTY: false, isStdErrTTY: false, testRunDurationMs: elapsed };
    return { options: { summaryTrendStats: options.summaryTrendStats }, state, metrics };
  }
}

function verdicts(limits, failed, name) {
  return Object.fromEntries(limits.map((limit) => [limit, { ok: !failed.has(`${name}: ${limit}`) }]));
}

const DEFAULT_STATS = ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)'];

function aggregates(metric, seconds, stats = DEFAULT_STATS) {
  if (metric.type === 'counter') return AGGREGATES.counter(metric.values, seconds);
  const sorted = Float64Array.from(metric.values).sort();
  return Object.fromEntries(stats.map((stat) => [stat, trend(sorted, stat)]));
}

/** One aggregate of a trend; percentiles lie between the two nearest samples, as in k6. */
function trend(sorted, stat) {
  const share = /^p\((\d+(?:\.\d+)?)\)$/.exec(stat);
  if (stat === 'count') return sorted.length;
  if (sorted.length === 0) return 0;
  if (stat === 'min') return sorted[0];
  if (stat === 'max') return sorted[sorted.length - 1];
  if (stat === 'avg') return sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  if (stat === 'med') return percentile(sorted, 0.5);
  if (share) return percentile(sorted, Number(share[1]) / 100);
  throw new Error(`the runner does not offer the aggregate ${stat}`);
}

function percentile(sorted, share) {
  const place = share * (sorted.length - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)];
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

const COMPARISONS = {
  '==': (found, bound) => found === bound,
  '!=': (found, bound) => found !== bound,
  '<=': (found, bound) => found <= bound,
  '>=': (found, bound) => found >= bound,
  '<': (found, bound) => found < bound,
  '>': (found, bound) => found > bound,
};

/** The thresholds that do not hold, each as `metric: expression`. */
export function checkThresholds(metrics, thresholds) {
  const failed = new Set();
  for (const [name, limits] of Object.entries(thresholds)) {
    const metric = metrics.all.get(name);
    if (!metric) throw new Error(`no such metric name found: ${name}`);
    for (const limit of limits) {
      if (!holds(metric, limit)) failed.add(`${name}: ${limit}`);
    }
  }
  return failed;
}

function holds(metric, limit) {
  const parts = /^\s*([a-z]+(?:\([\d.]+\))?)\s*(==|!=|<=|>=|<|>)\s*(-?[\d.]+)\s*$/.exec(limit);
  if (!parts) throw new Error(`the runner does not read the threshold ${limit}`);
  const [, stat, comparison, bound] = parts;
  if (metric.type === 'counter' && stat !== 'count') throw new Error(`a counter has no ${stat}`);
  const found = aggregates(metric, 0, [stat])[stat];
  return COMPARISONS[comparison](found, Number(bound));
}
