//! What a sentinel answers when it is asked for the primary.

use std::collections::HashMap;

use ::redis::{FromRedisValue, Pipeline, ServerError, Value, cmd};

use super::endpoint::Endpoint;

/// The longest text of a sentinel that an error repeats, in characters.
const REPEATED_CHARS: usize = 120;

/// A server that a sentinel names as the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPrimary {
    pub(super) endpoint: Endpoint,
    /// The number of the failover that made it the primary: the newest knowledge has the largest.
    pub(super) epoch: u64,
}

/// Why an answer names no primary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    /// The sentinel watches no master of this name.
    #[error("it knows no master {0:?}")]
    Unknown(String),
    /// The server is no sentinel.
    #[error("it is no sentinel: it does not know the command SENTINEL")]
    NoSentinel,
    /// The sentinel refused.
    #[error("it answered: {0}")]
    Refused(String),
    /// The answer is no address.
    #[error("its answer is no address")]
    Malformed,
}

/// Makes the two commands: for the address, and for the epoch. A sentinel that leads a failover
/// tells the address of the new primary by the first as soon as it is promoted, and by the second
/// only when all replicas follow it.
pub(super) fn question(master: &str) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.add_command(cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).clone());
    pipeline.add_command(cmd("SENTINEL").arg("MASTER").arg(master).clone());
    pipeline
}

/// Reads the answers to both commands.
pub(super) fn read(master: &str, answers: &[Value]) -> Result<NamedPrimary, AnswerError> {
    let [address, details] = answers else { return Err(AnswerError::Malformed) };
    let endpoint = match address {
        Value::Nil => return Err(AnswerError::Unknown(master.to_owned())),
        Value::ServerError(error) => return Err(refusal(error)),
        other => endpoint(other).ok_or(AnswerError::Malformed)?,
    };
    Ok(NamedPrimary { endpoint, epoch: epoch(details) })
}

fn endpoint(address: &Value) -> Option<Endpoint> {
    let (host, port) = <(String, u16)>::from_redis_value_ref(address).ok()?;
    Endpoint::new(&host, port)
}

/// Returns 0, the oldest epoch, if the details cannot be read.
fn epoch(details: &Value) -> u64 {
    let details = HashMap::<String, String>::from_redis_value_ref(details).unwrap_or_default();
    details.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default()
}

fn refusal(error: &ServerError) -> AnswerError {
    if error.details().is_some_and(|details| details.starts_with("unknown command")) {
        return AnswerError::NoSentinel;
    }
    AnswerError::Refused(error.to_string().chars().take(REPEATED_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    fn named(address: &Value, details: &Value) -> Result<(String, u64), AnswerError> {
        let named = read("m", &[address.clone(), details.clone()])?;
        Ok((named.endpoint.to_string(), named.epoch))
    }

    #[test]
    fn an_address_and_its_epoch() {
        let address = texts(&["10.0.0.9", "6379"]);
        let details = texts(&["name", "m", "ip", "10.0.0.1", "config-epoch", "7"]);
        assert_eq!(named(&address, &details), Ok(("10.0.0.9:6379".into(), 7)));
        for unreadable in [Value::Nil, texts(&["config-epoch", "-1"]), texts(&["config-epoch"])] {
            assert_eq!(named(&address, &unreadable), Ok(("10.0.0.9:6379".into(), 0)));
        }
        assert_eq!(named(&texts(&["::1", "1"]), &details), Ok(("[::1]:1".into(), 7)));
    }

    #[test]
    fn what_names_no_primary_says_why() {
        let unknown = Err(AnswerError::Unknown("m".into()));
        assert_eq!(named(&Value::Nil, &Value::Nil), unknown);
        for nonsense in [
            Value::Okay,
            Value::Int(6379),
            texts(&["10.0.0.9"]),
            texts(&["10.0.0.9", "port"]),
            texts(&["10.0.0.9", "0"]),
            texts(&["a b", "6379"]),
            texts(&["", "6379"]),
            texts(&["10.0.0.9", "6379", "6380"]),
        ] {
            assert_eq!(named(&nonsense, &Value::Nil), Err(AnswerError::Malformed), "{nonsense:?}");
        }
        assert_eq!(read("m", &[]), Err(AnswerError::Malformed));
    }

    proptest! {
        #[test]
        fn never_panics(host in "\\PC{0,40}", port in "\\PC{0,8}", epoch in "\\PC{0,24}") {
            let address = texts(&[&host, &port]);
            let _ = read("m", &[address, texts(&["config-epoch", &epoch])]);
        }
    }
}
