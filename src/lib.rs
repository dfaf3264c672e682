//! Narrowcast: a realtime messaging broker for deployments of many nodes. It is the opposite of
//! broadcast: a publish travels only to the nodes that have a session for it.
//!
//! # Layout
//!
//! A room is a folder of this crate. It imports only rooms above it in this table.
//!
//! | room | owns |
//! | --- | --- |
//! | `domain` | ids, subjects, patterns, conversations, messages: pure |
//! | `clock` | the time of the node, and whether it is known to be right |
//! | `layout` | from keys to buckets to shards, the plan of a publish, its cost: pure |
//! | `advice` | which bucket counts and shards suit a deployment: pure |
//! | `cluster` | the live nodes: heartbeats, leases, failure detection: pure |
//! | `watermark` | what live delivery guarantees: settled sends, delivery gaps, cursors: pure |
//! | `socket` | the server side of a WebSocket on one event loop |
//! | `protocol` | frames of clients and servers, error and close codes: no I/O |
//! | `telemetry` | logs and metrics |
//! | `secret` | secrets: values that print masked, and files that hold one |
//! | `tls` | the client side of TLS to Redis and to the CQL store |
//! | `redis` | Redis addresses, sentinels, connections, pools, the names of keys and channels |
//! | `config` | what an operator can configure |
//! | `auth` | from a token to the caller and its permissions: pure |
//! | `store` | the ports to what is durable: messages, rooms, receipts, heartbeats; two backends |
//! | `bus` | the port to what carries publishes: Redis, or memory |
//! | `limiter` | how often and how much at once: the port, the arithmetic, the permits |
//! | `interest` | what a node subscribes to: holders, linger, confirmations, the wildcard feed |
//! | `shards` | the shard connections, which are made again whenever they are lost |
//! | `delivery` | from the bus to the queues of the workers that need a publish |
//! | `agent` | the node agent, which controls the node: heartbeats, lease, watermark |
//! | `hub` | the sessions of a worker, by user, room and pattern |
//! | `services` | what the workers of a node share |
//! | `fanout` | one publish: to the bus, to other workers, to the sessions of this one |
//! | `send` | what is stored and acknowledged: messages, changes of memberships |
//! | `recovery` | what did not come live: resumes, rounds, cursors, the audit |
//! | `worker_call` | HTTP requests, carried to the worker of their key |
//! | `ops` | dispatch, and one file an op |
//! | `connection` | the life of one client connection |
//! | `health` | the health of the node: its parts' states in one status |
//! | `http` | the listeners and the HTTP API |
//! | `worker` | one event loop |
//! | `node` | composition, start and stop |
//! | `client` | a WebSocket client, for commands, load and tests |
//! | `monitor` | what running nodes tell at their operators' listeners |
//! | `bench` | the load generator |
//! | `cli` | commands and exit codes |
//! | `simulation` | in tests only: the watermark on simulated schedules |
//!
//! # The road of one message
//!
//! ```text
//! client frame -> connection -> ops: authorise -> limits, nonce -> id from the clock, entered
//!    -> store (all rows acknowledged) -> is it in time, and is the lease held?
//!    -> shards: publish by the plan -> hub: sessions of this worker -> `sent`
//! bus -> delivery: queues of the workers that need the key -> hub -> outbox (bounded) -> socket
//! cluster table, canaries -> agent: watermark -> queues of the workers, last -> cursors
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | routing key | a subject's first two tokens, such as one user or room: it is hashed |
//! | bucket | a part of the routing keys, by hash; one Redis channel |
//! | shard | a Redis server that carries some of the buckets |
//! | layout | the bucket counts and the list of shards; all nodes agree on it |
//! | interest | the buckets that sessions of a node need; the node subscribes to them |
//! | linger | a bucket stays subscribed for a while after its last session left |
//! | wildcard feed | copies of all events for nodes with wide patterns; `tap` on the wire |
//! | envelope | a publish on the bus: its routing keys and its frame |
//! | fan-out | one publish to other nodes, other workers and local sessions |
//! | outbox | the byte-bounded queue of frames for one socket |
//! | worker | an event loop on a thread of its own; a user's sessions are all on one |
//! | shard connection | a connection of a node to a shard: one subscriber, a publisher per worker |
//! | node agent | the loop of a node that writes heartbeats and moves the watermark |
//! | heartbeat | a row of the cluster table in which an incarnation states its progress |
//! | incarnation | a node from a start or a fence to the next fence or the end |
//! | generation | the number of an incarnation of a running node; also of an interest command |
//! | lease | the time in which an incarnation may acknowledge sends |
//! | fence | the end of an incarnation: its lease ran out, so it acknowledges nothing more |
//! | canary | a node's message to itself through every shard; it shows that delivery works |
//! | lame duck | a node that will stop: it reports that it is draining, and serves on for a while |
//! | publish tracker | a worker's record of the ids that it issued and the outcome of each |
//! | watermark | an id up to which every acknowledged message has reached the sessions here |
//! | delivery gap | an event after which live delivery may have missed a message |
//! | recovery round | one read of the store for all sessions of a node, after or during a gap |
//! | session position | up to which id one session has everything |
//! | cursor | a session position, sealed, which a client keeps and resumes with |

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "both panic without a reader: commands print by `cli`, the rest logs"
)]

pub mod advice;
pub(crate) mod agent;
pub mod auth;
pub mod bench;
pub mod bus;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub(crate) mod connection;
pub mod delivery;
pub mod domain;
pub(crate) mod fanout;
pub(crate) mod health;
pub(crate) mod http;
pub mod hub;
pub(crate) mod interest;
pub mod layout;
pub(crate) mod limiter;
pub(crate) mod monitor;
pub mod node;
pub(crate) mod ops;
pub mod protocol;
pub(crate) mod recovery;
pub mod redis;
pub mod secret;
pub(crate) mod send;
pub(crate) mod services;
pub(crate) mod shards;
#[cfg(test)]
mod simulation;
pub mod socket;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod watermark;
pub(crate) mod worker;
pub(crate) mod worker_call;
