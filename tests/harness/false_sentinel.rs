//! A sentinel that says what a test wants it to.

use std::sync::Arc;

use parking_lot::Mutex;

use super::StandIn;

pub struct FalseSentinel {
    stand_in: StandIn,
    answer: Arc<Mutex<String>>,
}

impl FalseSentinel {
    /// One that names this host and port, in a failover that is newer than any other.
    pub fn naming(host: &str, port: &str) -> Self {
        Self::answering(&address(host, port))
    }

    /// From now on it names this host and port, in the same failover as before.
    pub fn name(&self, host: &str, port: &str) {
        *self.answer.lock() = address(host, port);
    }

    /// One that answers the question for the primary with these bytes.
    pub fn answering(answer: &str) -> Self {
        let answer = Arc::new(Mutex::new(answer.to_owned()));
        let told = Arc::clone(&answer);
        let stand_in = StandIn::start(move |command| {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            match words[..] {
                ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", _] => Some(told.lock().clone()),
                ["SENTINEL", "MASTER", _] => {
                    Some(format!("%1\r\n{}{}", bulk("config-epoch"), bulk(&u64::MAX.to_string())))
                }
                ["SUBSCRIBE", channel] => Some(StandIn::confirmation("subscribe", channel)),
                _ => None,
            }
        });
        Self { stand_in, answer }
    }

    pub fn address(&self) -> String {
        self.stand_in.url().replace("redis://", "")
    }
}

fn address(host: &str, port: &str) -> String {
    format!("*2\r\n{}{}", bulk(host), bulk(port))
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
