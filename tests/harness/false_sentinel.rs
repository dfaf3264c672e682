//! A sentinel that says what a test wants it to.

use super::StandIn;

pub struct FalseSentinel(StandIn);

impl FalseSentinel {
    /// One that names this host and port, in a failover that is newer than any other.
    pub fn naming(host: &str, port: &str) -> Self {
        Self::answering(&format!("*2\r\n{}{}", bulk(host), bulk(port)))
    }

    /// One that answers the question for the primary with these bytes.
    pub fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self(StandIn::start(move |command| {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            match words[..] {
                ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", _] => Some(answer.clone()),
                ["SENTINEL", "MASTER", _] => {
                    Some(format!("%1\r\n{}{}", bulk("config-epoch"), bulk(&u64::MAX.to_string())))
                }
                ["SUBSCRIBE", channel] => Some(StandIn::confirmation("subscribe", channel)),
                _ => None,
            }
        }))
    }

    pub fn address(&self) -> String {
        self.0.url().replace("redis://", "")
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
