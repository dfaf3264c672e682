//! The client side of TLS, to Redis and to the CQL store.

mod files;
mod handshake;

pub use rustls::ClientConfig;

pub use files::{TlsFileError, TlsFiles};
pub use handshake::{TlsError, handshake, is_server_name};
