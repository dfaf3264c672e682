// What the load tests of this folder share.

export { api } from './lib/api.js';
export { Fleet } from './lib/fleet.js';
export { pace, pause, sendFor, until } from './lib/generator.js';
export { parameters, refuse } from './lib/parameters.js';
export { atLeast, atMost, counters, latency, options, summary } from './lib/report.js';
