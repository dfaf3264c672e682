//! Narrowcast.
pub mod auth;
pub mod bus;
pub mod delivery;
pub mod domain;
pub mod interest;
pub mod layout;
pub mod links;
pub mod protocol;
pub mod redis;
pub mod telemetry;
