//! `send`, `publish`, `sub` and `tail`: a node from the client's side.

use clap::Args;
use serde_json::{Value, json};

use super::display::Display;
use super::output::OutputReader;
use super::target::{Target, answered, conversation};
use super::{CliFailure, block_on};
use crate::telemetry::say_error;

/// Sends a message to a conversation.
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    override_usage = "narrowcast send [OPTIONS] <CONVERSATION> <TEXT>\n       \
                      narrowcast send [OPTIONS] --user <ID> <TEXT>"
)]
pub(super) struct SendCommand {
    /// `user.<id>`, `room.<id>` or `dm.<a>.<b>`; the id behind `user.` and `room.` may be raw.
    #[arg(required_unless_present = "user", conflicts_with = "user")]
    conversation: Option<String>,
    /// What the message says, as a text.
    #[arg(required = true)]
    text: String,
    /// The user to write to, by the raw id.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// TEXT is a JSON value, and is sent as that.
    #[arg(long)]
    json_body: bool,
    #[command(flatten)]
    target: Target,
}

impl SendCommand {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let conversation = conversation(self.conversation.as_deref(), self.user.as_deref())?;
        let body = if self.json_body {
            let bad =
                |error| CliFailure::Usage(format!("TEXT: `{}` is not JSON: {error}", self.text));
            serde_json::from_str(&self.text).map_err(bad)?
        } else {
            Value::String(self.text)
        };
        block_on(async {
            let mut client = self.target.connect().await?;
            let request = json!({"op": "send", "conversation": conversation, "body": body});
            let sent = answered(client.ask(request).await)?;
            Display::of_output().print_message(&sent["message"])
        })
    }
}

/// Publishes an event to a subject.
#[derive(Debug, Args)]
pub(super) struct PublishCommand {
    /// The subject, such as `topic.scores.goal`.
    subject: String,
    /// Any JSON value; what is no JSON is a text.
    data: String,
    #[command(flatten)]
    target: Target,
}

impl PublishCommand {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let data = serde_json::from_str(&self.data).unwrap_or(Value::String(self.data));
        block_on(async {
            let mut client = self.target.connect().await?;
            let request = json!({"op": "publish", "subject": self.subject, "data": data});
            Display::of_output().print_frame(&answered(client.ask(request).await)?)
        })
    }
}

/// Prints the events of patterns as they come, and what else comes for the user.
#[derive(Debug, Args)]
pub(super) struct Sub {
    /// Patterns, such as `topic.scores.>`.
    #[arg(required = true)]
    patterns: Vec<String>,
    #[command(flatten)]
    target: Target,
}

impl Sub {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        block_on(async {
            let mut client = self.target.connect().await?;
            let request = json!({"op": "subscribe", "patterns": self.patterns});
            answered(client.ask(request).await)?;
            say_error("subscribed");
            let (reader, display) = (OutputReader::of_output(), Display::of_output());
            loop {
                let frame = reader.unless_gone(client.next()).await?.map_err(CliFailure::failed)?;
                if frame["op"] != "cursor" {
                    display.print_frame(&frame)?;
                }
            }
        })
    }
}

/// Prints a conversation, its history first, until the connection ends.
#[derive(Debug, Args)]
pub(super) struct TailCommand {
    /// `user.<id>`, `room.<id>` or `dm.<a>.<b>`; the id behind `user.` and `room.` may be raw.
    #[arg(required_unless_present = "user", conflicts_with = "user")]
    conversation: Option<String>,
    /// The other user of a direct conversation, by the raw id.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// How many messages of history.
    #[arg(long, default_value_t = 10)]
    history: usize,
    #[command(flatten)]
    target: Target,
}

impl TailCommand {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let conversation = conversation(self.conversation.as_deref(), self.user.as_deref())?;
        block_on(async {
            let mut client = self.target.login().await?;
            let request =
                json!({"op": "history", "conversation": conversation, "limit": self.history});
            let page = answered(client.ask(request).await)?;
            let conversation = page["conversation"].clone();
            let display = Display::of_output();
            let mut printed = std::collections::HashSet::new();
            for message in page["messages"].as_array().into_iter().flatten().rev() {
                printed.insert(message["id"].as_str().unwrap_or_default().to_owned());
                display.print_message(message)?;
            }
            let reader = OutputReader::of_output();
            loop {
                let frame = reader.unless_gone(client.next()).await?.map_err(CliFailure::failed)?;
                let message = &frame["message"];
                let fresh = message["id"].as_str().is_some_and(|id| !printed.contains(id));
                if message["conversation"] == conversation && fresh {
                    display.print_message(message)?;
                }
            }
        })
    }
}
