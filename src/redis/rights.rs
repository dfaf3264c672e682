//! What the user of a connection must be allowed to do.

use std::collections::BTreeSet;
use std::fmt;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use super::channels::Channel;

/// A script that does nothing.
const SCRIPT: &str = "return 0";

/// The digest of no script: the server looks at the right to run one before it looks for it.
const UNKNOWN: &str = "0000000000000000000000000000000000000000";

/// The rights that a user does not have, as `ACL SETUSER` spells them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MissingRights(Vec<String>);

/// Tries what a node does on a shard, and what needs a right of its own.
#[derive(Debug, Clone)]
pub struct RightsTrial {
    /// A channel of the namespace that nothing else uses.
    pub channel: Channel,
    /// A key as the limiter has them; none without the limiter.
    pub key: Option<String>,
}

impl MissingRights {
    /// Returns the right whose lack is the reason of an error.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        let text = error.detail().unwrap_or_default();
        // The crate passes a refused SELECT on as a mistake of the configuration.
        let is_lack = error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
            || text.contains("has no permissions to run the 'select' command");
        is_lack.then(|| Self(vec![named(text)]))
    }

    /// Returns all rights of some errors; none without one.
    pub fn of_all<'a>(errors: impl IntoIterator<Item = &'a RedisError>) -> Option<Self> {
        let rights = errors.into_iter().filter_map(Self::of).flat_map(|Self(rights)| rights);
        let missing: BTreeSet<String> = rights.collect();
        (!missing.is_empty()).then(|| Self(missing.into_iter().collect()))
    }
}

impl fmt::Display for MissingRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the user lacks {}: grant it by ACL SETUSER", self.0.join(" "))
    }
}

/// Returns the right that the text of a refusal is about. Versions word it differently, but all of
/// them quote a command, and nothing else.
fn named(text: &str) -> String {
    if let Some(command) = text.split('\'').nth(1) {
        format!("+{}", command.to_lowercase())
    } else if text.contains("channel") {
        "&nc:<namespace>:*".to_owned()
    } else if text.contains("key") {
        "~nc:<namespace>:*".to_owned()
    } else {
        format!("a right ({text})")
    }
}

impl RightsTrial {
    /// Tries all but subscribing. Returns the refusals; a connection that breaks is an error.
    pub async fn commands(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Vec<RedisError>> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SPUBLISH").arg(self.channel.as_str()).arg("");
        if let Some(key) = &self.key {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(SCRIPT).cmd("EVALSHA").arg(UNKNOWN).arg(0);
            pipeline.cmd("TIME").cmd("GET").arg(key).cmd("SET").arg(key).arg("").arg("PX").arg(1);
        }
        let answers = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await?;
        let refusal = |answer| match answer {
            Value::ServerError(error) => Some(RedisError::from(error)),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(refusal).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refusal_names_its_right() {
        for (text, right) in [
            ("this user has no permissions to run the 'spublish' command", "+spublish"),
            ("User bob has no permissions to run the 'script|load' command", "+script|load"),
            (
                "this user has no permissions to access one of the channels used as arguments",
                "&nc:<namespace>:*",
            ),
            ("No permissions to access a key", "~nc:<namespace>:*"),
        ] {
            assert_eq!(named(text), right);
        }
    }

    proptest! {
        #[test]
        fn any_refusal_has_a_name(text in "\\PC{0,40}") {
            prop_assert!(!named(&text).is_empty());
        }
    }
}
