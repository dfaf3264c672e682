//! Which node a command talks to, as whom, and about which conversation.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::CliFailure;
use super::token::given_or_fresh;
use crate::client::{Client, ClientError};
use crate::domain::{GrammarError, RoomId, UserId};

/// A node's address, and the user to connect as.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The node's address; `/v1/ws` is added where it has no path.
    #[arg(long, default_value = "ws://127.0.0.1:8080")]
    url: String,
    /// The token; without one a fresh one is made with the configuration's first key.
    #[arg(long, env = "NARROWCAST_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The user of a fresh token, by the raw id.
    #[arg(long = "as", value_name = "ID", default_value = "alice")]
    caller: String,
    /// The configuration file with the key.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Target {
    fn token(&self) -> Result<String, CliFailure> {
        given_or_fresh(self.token.clone(), &self.caller, self.config.as_deref())
    }

    /// Connects. It is enough for requests that need no store.
    pub(super) async fn connect(self) -> Result<Client, CliFailure> {
        let token = self.token()?;
        Client::begin(&self.url, &token).await.map_err(CliFailure::failed)
    }

    /// Connects, and waits until the session is live.
    pub(super) async fn login(self) -> Result<Client, CliFailure> {
        let token = self.token()?;
        Client::login(&self.url, &token).await.map_err(CliFailure::failed)
    }
}

/// Returns the name of a conversation in frames. Behind `user.` and `room.` the id may be raw; one
/// that is spelled as in frames stays as it is.
pub(super) fn conversation(given: Option<&str>, user: Option<&str>) -> Result<String, CliFailure> {
    if let Some(raw) = user {
        let id = UserId::from_raw(raw.as_bytes()).map_err(|error| wrong("--user", raw, &error))?;
        return Ok(format!("user.{id}"));
    }
    let given = given.unwrap_or_default();
    let bad = |error| wrong("CONVERSATION", given, &error);
    if let Some(raw) = given.strip_prefix("user.") {
        let id = UserId::parse(raw).or_else(|_| UserId::from_raw(raw.as_bytes()));
        return Ok(format!("user.{}", id.map_err(bad)?));
    }
    if let Some(raw) = given.strip_prefix("room.") {
        let id = RoomId::parse(raw).or_else(|_| RoomId::from_raw(raw.as_bytes()));
        return Ok(format!("room.{}", id.map_err(bad)?));
    }
    if given.starts_with("dm.") {
        return Ok(given.to_owned());
    }
    Err(CliFailure::Usage(format!(
        "CONVERSATION: `{given}` must begin with `user.`, `room.` or `dm.`; a user is also `--user \
         ID`, and events of a subject go by `publish`"
    )))
}

fn wrong(what: &str, given: &str, error: &GrammarError) -> CliFailure {
    CliFailure::Usage(format!("{what}: `{given}`: {error}"))
}

/// Returns the answer, unless it is a refusal.
pub(super) fn answered(answer: Result<Value, ClientError>) -> Result<Value, CliFailure> {
    let answer = answer.map_err(CliFailure::failed)?;
    if answer["op"] == "error" {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        return Err(CliFailure::Failed(format!("{} ({})", text("detail"), text("code"))));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_ids_are_encoded_once() {
        for (given, user, named) in [
            ("user.bob@example.com", None, "user.bob@example%2Ecom"),
            ("user.bob@example%2Ecom", None, "user.bob@example%2Ecom"),
            ("room.the lobby", None, "room.the%20lobby"),
            ("dm.a.b", None, "dm.a.b"),
            ("", Some("bob@example.com"), "user.bob@example%2Ecom"),
            ("", Some("50%25"), "user.50%2525"),
        ] {
            assert_eq!(conversation(Some(given), user).unwrap(), named, "{given}");
        }
        for (given, user) in [("bob", None), ("topic.a", None), ("user.", None), ("", Some(""))] {
            let refused = conversation(Some(given), user);
            assert!(matches!(refused, Err(CliFailure::Usage(_))), "{given}");
        }
    }
}
