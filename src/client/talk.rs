//! A client that sends a request and waits.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::CLIENT;
use super::connect::{ClientError, FrameSink, FrameSource, Incoming, connect, connect_as};
use crate::auth::claimed_user;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A session from the client's side. Requests are numbered; frames that come between a request and
/// its answer are kept for [`Client::next`].
#[derive(Debug)]
pub struct Client {
    reader: FrameSource,
    writer: FrameSink,
    next_id: u64,
    waiting: VecDeque<Value>,
}

impl Client {
    /// Connects without a `hello`.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Ok(Self::of(connect(url).await?))
    }

    fn of((reader, writer): (FrameSource, FrameSink)) -> Self {
        Self { reader, writer, next_id: 0, waiting: VecDeque::new() }
    }

    /// Connects and sends `hello`. When this returns the session is accepted and may send requests.
    /// It is live later, or not at all while the store is away.
    pub async fn begin(url: &str, token: &str) -> Result<Self, ClientError> {
        let mut client = Self::of(connect_as(url, claimed_user(token).as_ref()).await?);
        client
            .writer
            .send(&json!({"op": "hello", "token": token, "client": CLIENT}).to_string())
            .await?;
        client.until(|frame| frame["op"] == "ready").await.map_err(|error| client.why(error))?;
        Ok(client)
    }

    /// Connects and sends `hello`; the session is live when this returns.
    pub async fn login(url: &str, token: &str) -> Result<Self, ClientError> {
        let mut client = Self::begin(url, token).await?;
        client.until(|frame| frame["op"] == "cursor").await.map_err(|error| client.why(error))?;
        Ok(client)
    }

    /// The node's error frame before it closed, if there was one.
    fn why(&mut self, error: ClientError) -> ClientError {
        let said = self.waiting.iter().find(|frame| frame["op"] == "error");
        match (error, said.and_then(|frame| frame["detail"].as_str())) {
            (ClientError::Closed { code, .. }, Some(message)) => {
                ClientError::Closed { code, reason: message.to_owned() }
            }
            (error, _) => error,
        }
    }

    /// Sends a request and waits for its answer: an error frame is an answer like any other.
    pub async fn ask(&mut self, mut request: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        request["id"] = json!(id);
        self.writer.send(&request.to_string()).await?;
        self.until(|frame| frame["id"] == id).await
    }

    /// Sends a text as it is.
    pub async fn send(&self, text: &str) -> Result<(), ClientError> {
        self.writer.send(text).await
    }

    /// Returns the next frame that answers nothing.
    pub async fn next(&mut self) -> Result<Value, ClientError> {
        match self.waiting.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read().await,
        }
    }

    /// Returns the next frame, within `bound`.
    pub async fn next_within(&mut self, bound: Duration) -> Result<Value, ClientError> {
        let late = |_elapsed| ClientError::Timeout(bound);
        tokio::time::timeout(bound, self.next()).await.map_err(late)?
    }

    /// The two halves, for callers that read and write apart. Kept frames are dropped.
    pub fn into_halves(self) -> (FrameSource, FrameSink) {
        (self.reader, self.writer)
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value, ClientError> {
        let answer = async {
            loop {
                let frame = self.read().await?;
                if wanted(&frame) {
                    return Ok(frame);
                }
                self.waiting.push_back(frame);
            }
        };
        let late = |_elapsed| ClientError::Timeout(ANSWER_TIMEOUT);
        tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(late)?
    }

    async fn read(&mut self) -> Result<Value, ClientError> {
        match self.reader.next().await? {
            Incoming::Text(text) => serde_json::from_str(&text)
                .map_err(|error| ClientError::Protocol(format!("{error}: {text:.100}"))),
            Incoming::Closed { code, reason } => Err(ClientError::Closed { code, reason }),
        }
    }
}
