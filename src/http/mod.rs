//! The listeners: clients upgrade to a WebSocket or use the HTTP API, operators ask how the node
//! is.
//!
//! | file | owns |
//! | --- | --- |
//! | `clients`, `operator` | a listener each |
//! | `health` | `/healthz` and `/readyz`, on both |
//! | `readiness` | whether the node is fit for clients |
//! | `route`, `query`, `percent` | from a request's line to a route and its parameters |
//! | `handshake` | what a connection holds: a place of those without a token, or of its user |
//! | `bearer`, `cors` | what is judged by headers |
//! | `intake` | the body of a request |
//! | `api` | the routes, one file a resource |
//! | `problem` | answers, errors among them |

mod api;
mod bearer;
mod clients;
mod cors;
mod handshake;
mod health;
mod intake;
mod operator;
mod percent;
mod problem;
mod query;
mod readiness;
mod route;

pub use clients::{ClientPort, ClientPortBounds, PortPermits};
pub use operator::{OPERATOR_CONNECTIONS_MAX, OperatorPort};
pub use readiness::{Readiness, ReadyState};
