//! A sentinel that says what a test wants it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::StandIn;

pub struct FalseSentinel {
    stand_in: StandIn,
    answer: Arc<Mutex<String>>,
    questions: Arc<AtomicU64>,
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
        let questions = Arc::new(AtomicU64::new(0));
        let asked = Arc::clone(&questions);
        let stand_in = StandIn::start(move |command| {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            match words[..] {
                ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", _] => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    Some(told.lock().clone())
                }
                ["SENTINEL", "MASTER", _] => {
                    Some(format!("%1\r\n{}{}", bulk("config-epoch"), bulk(&u64::MAX.to_string())))
                }
                ["SUBSCRIBE", channel] => Some(StandIn::confirmation("subscribe", channel)),
                _ => None,
            }
        });
        Self { stand_in, answer, questions }
    }

    /// How often it was asked for the primary.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
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
