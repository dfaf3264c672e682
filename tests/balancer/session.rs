//! Sessions of users that connect through a load balancer.

use std::fmt::Write;

use narrowcast::domain::UserId;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Balancer, token};
use crate::wire::raw::{Answer, Raw, UPGRADE, hello, text};

/// Most that connect at once.
const CONNECTING_MAX: usize = 16;

pub struct Session {
    pub raw: Raw,
    /// The balancer's answer to the upgrade.
    pub answer: Answer,
    /// The name of the node.
    pub node: String,
    /// The user, as the node says.
    pub user: String,
}

impl Session {
    /// Connects a user with the hint that a good client gives.
    pub async fn open(balancer: &str, user: &UserId) -> Self {
        Self::with_query(balancer, &hint(user), user).await
    }

    /// Connects a user with a query of its own: `?…`, or nothing.
    pub async fn with_query(balancer: &str, query: &str, user: &UserId) -> Self {
        let mut raw = Raw::connect(balancer).await;
        let answer = raw.http(&upgrade(query)).await;
        assert_eq!(answer.status, 101, "{query}: {answer:?}");
        raw.send(&hello(&token(&user.raw_text()))).await;
        let ready = raw.receive_op("ready").await;
        let text = |field: &str| ready[field].as_str().expect("a text").to_owned();
        let (node, user) = (text("node"), text("user"));
        Self { raw, answer, node, user }
    }

    /// Whether a session still is answered.
    pub async fn ping(&mut self) {
        self.raw.send(&text(&json!({"op": "ping", "id": 7}).to_string())).await;
        self.raw.receive_op("pong").await;
    }
}

/// Connects users, some at once: their sessions in the order of the users.
pub async fn open_all(balancer: &Balancer, users: &[UserId]) -> Vec<Session> {
    let (mut opening, mut opened) = (JoinSet::new(), Vec::new());
    for (place, user) in users.iter().cloned().enumerate() {
        if opening.len() == CONNECTING_MAX {
            opened.push(opening.join_next().await.expect("there are some").expect("it connects"));
        }
        let url = balancer.url();
        opening.spawn(async move { (place, Session::open(&url, &user).await) });
    }
    opened.extend(opening.join_all().await);
    opened.sort_by_key(|(place, _)| *place);
    opened.into_iter().map(|(_, session)| session).collect()
}

/// Users by a name and numbers.
pub fn users(name: &str, count: usize) -> Vec<UserId> {
    let user = |number| UserId::parse(&format!("{name}-{number}")).expect("it is an id");
    (0..count).map(user).collect()
}

/// A good upgrade with a query.
pub fn upgrade(query: &str) -> String {
    UPGRADE.replace("/v1/ws", &format!("/v1/ws{query}"))
}

/// The hint of a user: the id as it is in frames, percent-encoded for the URL.
pub fn hint(user: &UserId) -> String {
    let mut query = "?user=".to_owned();
    for byte in user.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            query.push(byte.into());
        } else {
            write!(query, "%{byte:02X}").expect("a text");
        }
    }
    query
}
