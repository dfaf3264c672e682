//! The handshake of a connection.

use std::io;
use std::net::IpAddr;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{TlsFileError, TlsFiles};

/// Why a connection is not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the client's own files is of no use.
    #[error("{0}")]
    File(#[from] TlsFileError),
    /// The server's certificate or protocol does not pass.
    #[error("TLS: {0}")]
    Handshake(#[from] io::Error),
}

/// Whether a certificate can be made out to this text: a DNS name or an IP address.
pub fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok() && (text.parse::<IpAddr>().is_ok() || !text.contains(':'))
}

/// Encrypts a connection to a server whose certificate has to name `server`. The files are read on
/// a thread that may block.
pub async fn handshake(
    files: TlsFiles,
    server: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = ServerName::try_from(server).map_err(io::Error::other)?.to_owned();
    let client = tokio::task::spawn_blocking(move || files.read()).await;
    let client = client.map_err(io::Error::other)??;
    Ok(TlsConnector::from(client).connect(name, stream).await?)
}
