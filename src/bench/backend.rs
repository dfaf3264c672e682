//! HTTP of the load: a backend that makes rooms on one connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::answer_timeout::answer_in_time;
use super::clients::LoadTokens;
use super::error::BenchError;

/// A connection to a node's HTTP API, as a service.
pub(super) struct Backend {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    bearer: String,
}

impl Backend {
    /// Connects to the node whose WebSocket is at `url`, with a token of the development key.
    pub(super) async fn connect(url: &str) -> Result<Self, BenchError> {
        Self::connect_as(url, &LoadTokens::new().of_service()).await
    }

    /// Connects with a token that has the scope `service`.
    pub(super) async fn connect_as(url: &str, token: &str) -> Result<Self, BenchError> {
        let authority =
            url.trim_start_matches("ws://").split(['/', '?']).next().unwrap_or_default();
        let sender = answer_in_time(authority, open(authority)).await??;
        let bearer = format!("Bearer {token}");
        Ok(Self { sender, authority: authority.to_owned(), bearer })
    }

    /// Puts a document, which must be accepted.
    pub(super) async fn put(&mut self, path: &str, body: &str) -> Result<(), BenchError> {
        let (status, body) = self.ask(Method::PUT, path, body).await?;
        if status.is_success() {
            return Ok(());
        }
        Err(BenchError::Answer(format!("{path}: {status} {body}")))
    }

    /// Makes a request, and returns the status and the text of its answer.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, String), BenchError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| BenchError::Answer(error.to_string()))?;
        let answer = async {
            let response = self.sender.send_request(request).await.map_err(wrong)?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(wrong)?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        answer_in_time(&self.authority, answer).await?
    }
}

async fn open(authority: &str) -> Result<SendRequest<Full<Bytes>>, BenchError> {
    let stream = TcpStream::connect(authority).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(wrong)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of the load ended");
        }
    });
    Ok(sender)
}

fn wrong(error: hyper::Error) -> BenchError {
    BenchError::Answer(error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The clock moves on by itself whenever nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_stands_still_is_named() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = silent.local_addr().unwrap().to_string();
        let mut backend = Backend::connect(&format!("ws://{authority}/v1/ws")).await.unwrap();
        let error = backend.put("/v1/rooms/a", "{}").await.unwrap_err();
        assert_eq!(error.to_string(), format!("{authority}: no answer within 30 s"));
    }
}
