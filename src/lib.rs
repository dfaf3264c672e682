//! Narrowcast.
pub mod domain;
pub mod layout;
