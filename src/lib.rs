//! Narrowcast.
pub mod domain;
