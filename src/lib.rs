//! Narrowcast: a realtime messaging broker for deployments of many nodes. It is the opposite of
//! broadcast: an event travels only to the nodes that hold someone it is for.
//!
//! # Layout
//!
//! A room imports only rooms above it.
//!
//! | room | owns |
//! | --- | --- |
//! | [`domain`] | ids, subjects, patterns, conversations, messages, the clock of ids: pure |
//! | [`clock`] | what time it is, and whether that is right |
//! | [`layout`] | keys to buckets to shards, the plan of a publish, what a layout costs: pure |
//! | [`cluster`] | the live nodes: rows, leases, deaths: pure |
//! | [`watermark`] | that nothing is lost: what is settled, the watermark, repairs, cursors: pure |
//! | [`socket`] | the server side of a WebSocket on one event loop |
//! | [`protocol`] | client and server frames, codes: no I/O |
//! | [`config`] | what an operator may say |
//! | [`telemetry`] | logs and metrics |
//! | [`auth`] | from a token to who is calling: pure |
//! | [`redis`] | connections, pools, the only spelling of channels |
//! | [`store`] | the port to where messages live; the embedded store, and one on CQL |
//! | [`bus`] | the port to what carries publishes, Redis and its in-memory twin |
//! | [`limiter`] | how often: the port, the arithmetic, and the gate that calls pass |
//! | [`interest`] | what a node hears: holders, linger, generations, confirmations, taps |
//! | [`shards`] | connections to shards, made again for ever |
//! | [`delivery`] | from the bus to the workers that want it |
//! | [`agent`] | the loop that watches over a node: roster, lease, watermark |
//! | [`hub`] | keys and patterns to sessions |
//! | [`router`] | what each op means |
//! | [`session`] | one connection's life |
//! | [`http`] | the listeners |
//! | [`worker`] | one event loop |
//! | [`node`] | composition, start and stop |
//! | [`client`] | a WebSocket client: commands, bench and tests |
//! | [`bench`](mod@bench) | the load generator |
//! | [`cli`] | commands and exit codes |
//! | [`simulation`](self) | in tests alone: the whole proof, played through |
//!
//! # The road of one message
//!
//! ```text
//! client frame -> session -> router: authorise -> limits, nonce -> id from the clock, entered
//!    -> store (all rows acked) -> still in time, and is the lease held?
//!    -> links: publish by the plan -> hub: sessions here -> `sent`
//! bus -> delivery -> workers that want the key -> hub -> outbox (bounded) -> socket
//! roster, canaries -> steward -> the watermark, behind what waits for each worker -> cursors
//! ```

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "both panic without a reader: commands print by `cli`, the rest logs"
)]

pub mod agent;
pub mod auth;
pub mod bench;
pub mod bus;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod hub;
pub mod interest;
pub mod layout;
pub mod limiter;
pub mod node;
pub mod protocol;
pub mod redis;
pub mod router;
pub mod session;
pub mod shards;
#[cfg(test)]
mod simulation;
pub mod socket;
pub mod store;
pub mod telemetry;
pub mod watermark;
pub mod worker;
