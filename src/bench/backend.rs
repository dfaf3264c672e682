//! A backend that makes rooms over HTTP, on one connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::cast::LoadTokens;
use super::error::BenchError;

/// A connection to a node's HTTP API, as a service.
pub(super) struct Backend {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    bearer: String,
}

impl Backend {
    /// Connects to the node whose WebSocket is at `url`.
    pub(super) async fn connect(url: &str) -> Result<Self, BenchError> {
        let authority = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(authority).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(wrong)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the load ended");
            }
        });
        let bearer = format!("Bearer {}", LoadTokens::new().of_service());
        Ok(Self { sender, authority: authority.to_owned(), bearer })
    }

    /// Puts a document, which must be accepted.
    pub(super) async fn put(&mut self, path: &str, body: &str) -> Result<(), BenchError> {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| BenchError::Answer(error.to_string()))?;
        let response = self.sender.send_request(request).await.map_err(wrong)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(wrong)?.to_bytes();
        if status.is_success() {
            return Ok(());
        }
        Err(BenchError::Answer(format!("{path}: {status} {}", String::from_utf8_lossy(&body))))
    }
}

fn wrong(error: hyper::Error) -> BenchError {
    BenchError::Answer(error.to_string())
}
