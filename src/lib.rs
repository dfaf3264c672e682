//! Narrowcast.
pub mod domain;
pub mod layout;
pub mod protocol;
