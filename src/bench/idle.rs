//! `bench idle`: what an idle session costs in memory, with patterns, or before and after large
//! frames.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::clients::LoadTokens;
use super::cpu_split::{CpuMeter, CpuSplit, ServersAre};
use super::error::BenchError;
use super::preflight::check_sockets;
use super::process::ServerProcess;
use super::report::TableRow;
use crate::client::{Client, ClientError};

/// A large frame: 60,000 bytes of body.
const LARGE_BODY_BYTES: usize = 60_000;

/// How long a node may take to deliver a large frame, or to close a session for one.
const LARGE_TIMEOUT: Duration = Duration::from_secs(15);

/// A large frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Large {
    /// An event to a conversation.
    Event,
    /// A message.
    Message,
}

impl Large {
    fn request(self, user: &str) -> serde_json::Value {
        let (conversation, body) = (format!("user.{user}"), "x".repeat(LARGE_BODY_BYTES));
        match self {
            Self::Event => json!({
                "op": "signal", "conversation": conversation, "name": "large", "data": body,
            }),
            Self::Message => json!({"op": "send", "conversation": conversation, "body": body}),
        }
    }

    const fn op(self) -> &'static str {
        match self {
            Self::Event => "signal",
            Self::Message => "message",
        }
    }

    const fn after(self) -> &'static str {
        match self {
            Self::Event => "60 kB events delivered",
            Self::Message => "60 kB messages stored and delivered",
        }
    }
}

/// A measurement.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Sessions.
    pub sessions: usize,
    /// Event loops of the server.
    pub workers: u32,
    /// Patterns of a session.
    pub patterns: usize,
    /// How long the server has to free what it can before its memory is read.
    pub settle: Duration,
}

/// What a session costs.
#[derive(Debug, Clone, Serialize)]
pub struct IdleRow {
    /// What was done before.
    pub after: &'static str,
    /// Sessions that are connected.
    pub sessions: usize,
    /// Resident bytes of the server before the first session.
    pub base_bytes: u64,
    /// Resident bytes of the server now.
    pub resident_bytes: u64,
    /// The difference per session.
    pub bytes_per_session: u64,
    /// What a pattern adds to a session that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_subscription: Option<u64>,
    /// CPU time since the first session.
    #[serde(flatten)]
    pub cpu: CpuSplit,
}

impl TableRow for IdleRow {
    const HEADERS: &'static [&'static str] = &[
        "after                              ",
        "sessions",
        "base MiB",
        "RSS MiB",
        "bytes per session",
        "bytes per subscription",
        CpuSplit::HEADER,
    ];

    fn cells(&self) -> Vec<String> {
        const MIB: f64 = 1_048_576.0;
        vec![
            self.after.to_owned(),
            self.sessions.to_string(),
            format!("{:.1}", self.base_bytes as f64 / MIB),
            format!("{:.1}", self.resident_bytes as f64 / MIB),
            self.bytes_per_session.to_string(),
            self.bytes_per_subscription.map_or_else(String::new, |bytes| bytes.to_string()),
            self.cpu.cell(),
        ]
    }
}

/// The server before the first session.
struct Base {
    bytes: u64,
    cpu: CpuMeter,
}

impl Base {
    fn of(server: &ServerProcess) -> Result<Self, BenchError> {
        let cpu = CpuMeter::begin(ServersAre::In(server.pid))?;
        Ok(Self { bytes: server.usage()?.resident_bytes, cpu })
    }
}

impl Idle {
    /// Refuses a single session without patterns: a large frame goes from each session to the next.
    pub fn check(&self) -> Result<(), BenchError> {
        if self.sessions > 1 || self.patterns > 0 {
            return Ok(());
        }
        let sessions = self.sessions;
        Err(BenchError::Input(format!(
            "--sessions {sessions}: at least 2 without --patterns: frames go from one to the next"
        )))
    }

    /// Measures idle sessions, then again after each has sent a frame that is over the bound.
    pub async fn refused(&self) -> Result<Vec<IdleRow>, BenchError> {
        let server = self.server(&[]).await?;
        let base = Base::of(&server)?;
        let clients = self.clients(&server).await?;
        let idle = self.row("hello", &base, &server).await?;
        for client in &clients {
            client.send(&Large::Message.request(&name(0)).to_string()).await?;
        }
        let closed = clients_closed(clients).await?;
        let again = self.clients(&server).await?;
        let row = self.row("60 kB frames refused", &base, &server).await?;
        server.stop().await?;
        drop(again);
        if closed != self.sessions {
            return Err(BenchError::Answer(format!("{closed} frames were refused, not all")));
        }
        Ok(vec![idle, row])
    }

    /// Measures idle sessions, then again once each subscribed to topics of its own.
    pub async fn subscribed(&self) -> Result<Vec<IdleRow>, BenchError> {
        let server = self.server(&[]).await?;
        let base = Base::of(&server)?;
        let mut clients = self.clients(&server).await?;
        let idle = self.row("hello", &base, &server).await?;
        for (index, client) in clients.iter_mut().enumerate() {
            let topic = |number| format!("topic.{}-{number}", name(index));
            let topics: Vec<String> = (0..self.patterns).map(topic).collect();
            let answer = client.ask(json!({"op": "subscribe", "patterns": topics})).await?;
            if answer["op"] != "ok" {
                return Err(BenchError::Answer(answer.to_string()));
            }
        }
        let mut row = self.row("subscribed to topics of their own", &base, &server).await?;
        let added = row.resident_bytes.saturating_sub(idle.resident_bytes);
        row.bytes_per_subscription = Some(added / (self.sessions * self.patterns) as u64);
        server.stop().await?;
        drop(clients);
        Ok(vec![idle, row])
    }

    /// Measures idle sessions after a frame of 60 kB to each, which is as large as the bounds are
    /// made for it: an event, which passes through, or a message, which the store keeps as well.
    pub async fn delivered(&self, kind: Large) -> Result<IdleRow, BenchError> {
        let body = (LARGE_BODY_BYTES + 100).to_string();
        let frame = (LARGE_BODY_BYTES + 8192).to_string();
        let keys = [
            ("LIMITS__BODY_BYTES", body.clone()),
            ("LIMITS__DATA_BYTES", body),
            ("LIMITS__FRAME_BYTES", frame),
        ];
        let server = self.server(&keys).await?;
        let base = Base::of(&server)?;
        let mut clients = self.clients(&server).await?;
        for index in 0..clients.len() {
            let other = (index + 1) % clients.len();
            let answer = clients[index].ask(kind.request(&name(other))).await?;
            if answer["op"] == "error" {
                return Err(BenchError::Answer(answer.to_string()));
            }
            let frame = clients[other].next_within(LARGE_TIMEOUT).await?;
            if frame["op"] != kind.op() {
                return Err(BenchError::Answer(format!("{:.100}", frame.to_string())));
            }
        }
        let row = self.row(kind.after(), &base, &server).await?;
        server.stop().await?;
        Ok(row)
    }

    async fn server(&self, keys: &[(&str, String)]) -> Result<ServerProcess, BenchError> {
        check_sockets("--sessions", self.sessions)?;
        let arguments = ["demo", "--json", "--listen", "127.0.0.1:0"].map(String::from);
        let mut keys = keys.to_vec();
        keys.push(("WORKERS", self.workers.to_string()));
        ServerProcess::start(&arguments, &keys).await
    }

    async fn clients(&self, server: &ServerProcess) -> Result<Vec<Client>, BenchError> {
        let mut clients = Vec::with_capacity(self.sessions);
        let tokens = LoadTokens::new();
        for index in 0..self.sessions {
            clients.push(Client::login(&server.urls[0], &tokens.of(&name(index))).await?);
        }
        Ok(clients)
    }

    async fn row(
        &self,
        after: &'static str,
        base: &Base,
        server: &ServerProcess,
    ) -> Result<IdleRow, BenchError> {
        tokio::time::sleep(self.settle).await;
        let resident = server.usage()?.resident_bytes;
        Ok(IdleRow {
            after,
            sessions: self.sessions,
            base_bytes: base.bytes,
            resident_bytes: resident,
            bytes_per_session: resident.saturating_sub(base.bytes) / self.sessions as u64,
            bytes_per_subscription: None,
            cpu: base.cpu.end()?,
        })
    }
}

fn name(index: usize) -> String {
    format!("idle-{index}")
}

/// How many of the sessions were closed for a frame that is too large.
async fn clients_closed(clients: Vec<Client>) -> Result<usize, BenchError> {
    const TOO_LARGE: u16 = 1009;
    let mut closed = 0;
    for mut client in clients {
        match client.next_within(LARGE_TIMEOUT).await {
            Err(ClientError::Closed { code: TOO_LARGE, .. }) => closed += 1,
            // The node stopped reading the rest of the frame, so the connection ended before its
            // close was read.
            Err(ClientError::Socket(_)) => closed += 1,
            other => return Err(BenchError::Answer(format!("{other:?}"))),
        }
    }
    Ok(closed)
}
