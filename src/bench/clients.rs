//! The clients of a measurement.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer_timeout::answer_in_time;
use super::delivery_log::DeliveryLog;
use super::error::BenchError;
use super::pending_answers::PendingAnswers;
use crate::auth::token_keys;
use crate::auth::{self, Claims, Mint};
use crate::client::{Client, FrameSink, FrameSource, Incoming};
use crate::clock::WallClock;
use crate::config::Config;

/// Most clients that connect at once.
const CONNECTING_MAX: usize = 64;

/// How long the last deliveries may take before they count as lost.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a token of the load lives, in seconds: longer than any measurement.
const TOKEN_LIFE: u64 = 4 * 3600;

/// From one check whether they have come to the next.
const SETTLE_POLL: Duration = Duration::from_millis(10);

/// A client's node, and its subscriptions.
#[derive(Debug, Clone)]
pub(super) struct ClientRole {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) patterns: Vec<String>,
}

/// A connected client: what it receives is counted in the delivery log.
#[derive(Debug, Clone)]
pub(super) struct Member {
    url: String,
    writer: FrameSink,
    pending: Arc<PendingAnswers>,
}

/// Connects every client, in the order of the roles.
pub(super) async fn assemble(
    roles: Vec<ClientRole>,
    log: &Arc<DeliveryLog>,
) -> Result<Vec<Member>, BenchError> {
    let places = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut joining = JoinSet::new();
    for (index, role) in roles.into_iter().enumerate() {
        let (places, log) = (Arc::clone(&places), Arc::clone(log));
        joining.spawn(async move {
            let _place = places.acquire().await.expect("the permits are never closed");
            Ok::<_, BenchError>((index, Member::join(role, log).await?))
        });
    }
    let mut members = Vec::with_capacity(joining.len());
    while let Some(joined) = joining.join_next().await {
        members.push(joined.map_err(|error| BenchError::Answer(error.to_string()))??);
    }
    members.sort_by_key(|(index, _)| *index);
    Ok(members.into_iter().map(|(_, member)| member).collect())
}

impl Member {
    async fn join(role: ClientRole, log: Arc<DeliveryLog>) -> Result<Self, BenchError> {
        let mut client = Client::login(&role.url, &role.token).await?;
        if !role.patterns.is_empty() {
            let answer = client.ask(json!({"op": "subscribe", "patterns": role.patterns})).await?;
            if answer["op"] != "ok" {
                return Err(BenchError::Answer(answer.to_string()));
            }
        }
        let (reader, writer) = client.into_halves();
        let pending = Arc::new(PendingAnswers::new());
        tokio::spawn(listen(reader, Arc::clone(&pending), log));
        Ok(Self { url: role.url, writer, pending })
    }

    /// Sends a request and waits; returns whether the answer was no error.
    pub(super) async fn ask(&self, id: u64, mut request: Value) -> Result<bool, BenchError> {
        request["id"] = json!(id);
        let ended = || BenchError::Answer(format!("{}: the session ended", self.url));
        let answer = self.pending.expect(id).ok_or_else(ended)?;
        let answered = answer_in_time(&self.url, async {
            self.writer.send(&request.to_string()).await?;
            answer.await.map_err(|_ended| ended())
        });
        answered.await.inspect_err(|_late| drop(self.pending.forget(id)))?
    }
}

/// Counts what a client receives until its end.
async fn listen(mut reader: FrameSource, pending: Arc<PendingAnswers>, log: Arc<DeliveryLog>) {
    while let Ok(Incoming::Text(text)) = reader.next().await {
        let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
        let published = match frame["op"].as_str() {
            Some("message") => frame["message"]["body"].as_u64(),
            Some("event") => frame["data"].as_u64(),
            _ => None,
        };
        if let Some(published) = published {
            log.arrive(published as usize);
        } else if let Some(id) = frame["id"].as_u64() {
            pending.answer(id, frame["op"] != "error");
        }
    }
    pending.end();
}

/// Waits until everything has arrived, for ten seconds at most.
pub(super) async fn settle(has_arrived: impl Fn() -> bool) {
    let until = Instant::now() + SETTLE_TIMEOUT;
    while !has_arrived() && Instant::now() < until {
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

/// The name of a user of the load.
pub(super) fn user_name(user: u32) -> String {
    format!("load-{user}")
}

/// Tokens signed with the development key, with the grants that the load needs.
pub(super) struct LoadTokens(Mint);

impl LoadTokens {
    pub(super) fn new() -> Self {
        Self(Mint::new(&token_keys(&Config::default().auth)[0]))
    }

    pub(super) fn of(&self, user: &str) -> String {
        let now = WallClock::system().seconds();
        let (publish, subscribe) = (vec!["topic.>".to_owned()], vec!["topic.>".to_owned()]);
        let nc = auth::TokenPermissions { scope: None, publish, subscribe };
        self.0.token(&Claims { nc, ..Claims::of_user(user, now, TOKEN_LIFE) })
    }

    pub(super) fn of_service(&self) -> String {
        let now = WallClock::system().seconds();
        let scope = Some(auth::TokenScope::Service);
        let nc = auth::TokenPermissions { scope, ..Default::default() };
        self.0.token(&Claims { nc, ..Claims::of_user("load", now, TOKEN_LIFE) })
    }
}
