//! The cluster on real parts: several processes of `serve`, two Redis shards and a CQL server.
//!
//! Who is judged, and for what, is told in [`crate::cluster::watch`].

mod change;
mod costs;
mod expiry;
pub mod keyspace;
pub mod layout;
mod load;
mod nodes;
pub mod plant;
mod restored;
mod store;
mod story;
mod truth;
mod upgrade;
