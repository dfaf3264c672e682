//! `pub`, `sub` and `tail`: a node from the client's side.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::output::{OutputReader, print_line};
use super::token::given_or_fresh;
use super::{CliFailure, block_on};
use crate::client::{Client, ClientError};
use crate::telemetry::say_error;

/// A node's address, and the user to connect as.
#[derive(Debug, Args)]
struct Target {
    /// The node's address.
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/ws")]
    url: String,
    /// The token; without one a fresh one is made with the configuration's first key.
    #[arg(long, env = "NARROWCAST_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The user of a fresh token.
    #[arg(long = "as", default_value = "alice")]
    user: String,
    /// The configuration file with the key.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Target {
    fn token(&self) -> Result<String, CliFailure> {
        given_or_fresh(self.token.clone(), &self.user, self.config.as_deref())
    }

    /// Connects. It is enough for requests that need no store.
    async fn serve_upgraded(self) -> Result<Client, CliFailure> {
        let token = self.token()?;
        Client::serve_upgraded(&self.url, &token).await.map_err(CliFailure::failed)
    }

    async fn login(self) -> Result<Client, CliFailure> {
        let token = self.token()?;
        Client::login(&self.url, &token).await.map_err(CliFailure::failed)
    }
}

/// Sends a message to a conversation, or publishes an event to a subject.
#[derive(Debug, Args)]
pub(super) struct Pub {
    /// `user.<id>` or `dm.<a>.<b>` for a message, any other subject for an event.
    to: String,
    /// Any JSON value; anything else is sent as text.
    data: String,
    #[command(flatten)]
    target: Target,
}

impl Pub {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let data: Value = serde_json::from_str(&self.data).unwrap_or(Value::String(self.data));
        let is_user = self.to.starts_with("user.") && self.to.matches('.').count() == 1;
        let request = if is_user || self.to.starts_with("dm.") || self.to.starts_with("room.") {
            json!({"op": "send", "conversation": self.to, "body": data})
        } else {
            json!({"op": "publish", "subject": self.to, "data": data})
        };
        block_on(async {
            let mut client = self.target.serve_upgraded().await?;
            print_line(answered(client.ask(request).await)?)
        })
    }
}

/// Prints the events of patterns as they come.
#[derive(Debug, Args)]
pub(super) struct Sub {
    /// Patterns, as `topic.scores.>`.
    #[arg(required = true)]
    patterns: Vec<String>,
    #[command(flatten)]
    target: Target,
}

impl Sub {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        block_on(async {
            let mut client = self.target.serve_upgraded().await?;
            let request = json!({"op": "subscribe", "patterns": self.patterns});
            answered(client.ask(request).await)?;
            say_error("subscribed");
            let reader = OutputReader::of_output();
            loop {
                let frame = reader.unless_gone(client.next()).await?.map_err(CliFailure::failed)?;
                if frame["op"] != "cursor" {
                    print_line(frame)?;
                }
            }
        })
    }
}

/// Prints a conversation, its history first.
#[derive(Debug, Args)]
pub(super) struct TailCommand {
    /// `user.<id>` or `dm.<a>.<b>`.
    conversation: String,
    /// How many messages of history.
    #[arg(long, default_value_t = 10)]
    history: usize,
    #[command(flatten)]
    target: Target,
}

impl TailCommand {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        block_on(async {
            let mut client = self.target.login().await?;
            let request =
                json!({"op": "history", "conversation": self.conversation, "limit": self.history});
            let page = answered(client.ask(request).await)?;
            let conversation = page["conversation"].clone();
            let mut printed = std::collections::HashSet::new();
            for message in page["messages"].as_array().into_iter().flatten().rev() {
                printed.insert(message["id"].as_str().unwrap_or_default().to_owned());
                print_line(message)?;
            }
            let reader = OutputReader::of_output();
            loop {
                let frame = reader.unless_gone(client.next()).await?.map_err(CliFailure::failed)?;
                let message = &frame["message"];
                let fresh = message["id"].as_str().is_some_and(|id| !printed.contains(id));
                if message["conversation"] == conversation && fresh {
                    print_line(message)?;
                }
            }
        })
    }
}

/// Returns the answer, unless it is a refusal.
fn answered(answer: Result<Value, ClientError>) -> Result<Value, CliFailure> {
    let answer = answer.map_err(CliFailure::failed)?;
    if answer["op"] == "error" {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        return Err(CliFailure::Failed(format!("{} ({})", text("detail"), text("code"))));
    }
    Ok(answer)
}
