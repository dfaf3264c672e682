//! The listeners. Clients upgrade to a WebSocket or use the HTTP API. Operators ask for the node's
//! health.
//!
//! | file | owns |
//! | --- | --- |
//! | `client_listener`, `operator_listener` | a listener each |
//! | `health` | `/healthz` and `/readyz`, on both |
//! | `cluster` | `/v1/cluster`, for operators |
//! | `route`, `query`, `percent` | from a request's line to a route and its parameters |
//! | `connection_client` | the address of a connection's client, and its permit |
//! | `handshake` | the permit of a connection: one for connections without a token, or its user's |
//! | `bearer`, `cors` | checks of headers: tokens and origins |
//! | `intake` | the body of a request |
//! | `api` | the routes, one file per resource |
//! | `problem` | answers, errors among them |

mod api;
mod bearer;
mod client_listener;
mod cluster;
mod connection_client;
mod cors;
mod handshake;
mod health;
mod intake;
mod operator_listener;
mod percent;
mod problem;
mod query;
mod route;

pub use client_listener::{ClientPort, PortPermits};
pub use operator_listener::{OPERATOR_CONNECTIONS_MAX, OperatorPort};
