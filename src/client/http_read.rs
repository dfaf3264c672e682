//! A GET of what a node's listener serves.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::ClientError;

/// How long a read may take, its connection included.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is accepted: the metrics of a node with very many shards.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Returns the status and the text that a listener at `host:port` serves at a path. What is not UTF-8
/// is replaced.
pub async fn http_get(authority: &str, path: &str) -> Result<(u16, String), ClientError> {
    let answer = tokio::time::timeout(READ_TIMEOUT, get(authority, path)).await;
    answer.unwrap_or(Err(ClientError::Timeout(READ_TIMEOUT)))
}

async fn get(authority: &str, path: &str) -> Result<(u16, String), ClientError> {
    let request = Request::get(path).header(HOST, authority).body(Full::<Bytes>::default());
    let request = request.map_err(|_| ClientError::Url(authority.to_owned()))?;
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(wrong)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(wrong)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| ClientError::Protocol(error.to_string()))?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    // The connection is driven here, and ends with the answer.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        ended = &mut connection => {
            ended.map_err(wrong)?;
            answered.await
        }
    }
}

fn wrong(error: hyper::Error) -> ClientError {
    ClientError::Protocol(error.to_string())
}
