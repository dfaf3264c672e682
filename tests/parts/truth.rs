//! What was answered, held against what history shows afterwards.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use narrowcast::client::Nonce;
use serde_json::Value;

use super::plant::Plant;
use crate::cluster::chat::{history, login};
use crate::cluster::watch::load::User;
use crate::cluster::watch::log::{Fact, Log};
use crate::cluster::watch::trial::Trial;

/// What became of a send, as its sender was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// Nothing, or that nobody knows.
    Unknown,
    Sent {
        id: String,
    },
    Refused {
        code: String,
    },
}

/// Ends a trial and its nodes: every answer was true, and everything that was acknowledged is
/// everywhere.
pub async fn judge(trial: Trial, mut plant: Plant) {
    let (log, users) = (trial.log(), trial.users.clone());
    let verdict = trial.end().await;
    let mut truth = Truth::of(&log.lock());
    truth.check(&users, &plant.url(0)).await;
    println!("{truth}");
    plant.end_all();
    verdict.assert_proven();
}

/// All sends, by their bodies, each of which is sent once.
struct Truth {
    told: BTreeMap<u64, Told>,
    /// Sends of unknown outcome that history shows.
    surfaced: usize,
}

impl Truth {
    fn of(log: &Log) -> Self {
        let mut bodies: HashMap<&Nonce, u64> = HashMap::new();
        let mut told = BTreeMap::new();
        for line in &log.lines {
            let (nonce, outcome) = match &line.fact {
                Fact::Sending { nonce, body, .. } => {
                    bodies.insert(nonce, body.as_u64().expect("a number"));
                    (nonce, Told::Unknown)
                }
                Fact::Acked { nonce, id } => (nonce, Told::Sent { id: id.to_string() }),
                Fact::Refused { nonce, code } => (nonce, Told::Refused { code: code.clone() }),
                _ => continue,
            };
            told.insert(bodies[nonce], outcome);
        }
        Self { told, surfaced: 0 }
    }

    /// Reads every conversation of pairs: what was called sent is there, by its id; what was
    /// refused is not; and nothing that nobody sent is there.
    async fn check(&mut self, pairs: &[User], url: &str) {
        let mut shown: BTreeMap<u64, String> = BTreeMap::new();
        for pair in pairs.chunks(2) {
            let mut reader = login(url, &pair[0].token).await;
            for (id, body) in history(&mut reader, &pair[1].name).await {
                let body = number(&body);
                assert_eq!(shown.insert(body, id), None, "{body} is shown twice");
            }
        }
        self.compare(&shown).expect("history is what was answered");
    }

    /// The first place where an answer and what is shown, (body, id), do not agree.
    fn compare(&mut self, shown: &BTreeMap<u64, String>) -> Result<(), String> {
        for (body, told) in &self.told {
            let is_so = match (told, shown.get(body)) {
                (Told::Sent { id }, there) => there == Some(id),
                (Told::Refused { .. }, there) => there.is_none(),
                (Told::Unknown, there) => {
                    self.surfaced += usize::from(there.is_some());
                    true
                }
            };
            if !is_so {
                return Err(format!("{body}: {told:?}, and shown is {:?}", shown.get(body)));
            }
        }
        match shown.keys().find(|body| !self.told.contains_key(body)) {
            Some(stranger) => Err(format!("nobody sent {stranger}")),
            None => Ok(()),
        }
    }
}

fn number(body: &Value) -> u64 {
    body.as_u64().expect("a number")
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for told in self.told.values() {
            let word = match told {
                Told::Unknown => "unknown",
                Told::Sent { .. } => "sent",
                Told::Refused { code } => code,
            };
            *counts.entry(word).or_default() += 1;
        }
        write!(f, "answers {counts:?}; {} of unknown outcome are in history", self.surfaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(told: Told, shown: &[(u64, &str)]) -> Option<usize> {
        let mut truth = Truth { told: [(1, told)].into(), surfaced: 0 };
        let shown = shown.iter().map(|(body, id)| (*body, (*id).to_owned())).collect();
        truth.compare(&shown).ok()?;
        Some(truth.surfaced)
    }

    #[test]
    fn a_lie_is_found() {
        let sent = || Told::Sent { id: "a".into() };
        let refused = || Told::Refused { code: "unavailable".into() };
        assert_eq!(compared(sent(), &[(1, "a")]), Some(0));
        assert_eq!(compared(sent(), &[]), None, "it is lost");
        assert_eq!(compared(sent(), &[(1, "b")]), None, "it is another one");
        assert_eq!(compared(refused(), &[]), Some(0));
        assert_eq!(compared(refused(), &[(1, "a")]), None, "it was stored");
        assert_eq!(compared(Told::Unknown, &[]), Some(0));
        assert_eq!(compared(Told::Unknown, &[(1, "a")]), Some(1));
        assert_eq!(compared(Told::Unknown, &[(2, "a")]), None, "nobody sent it");
    }
}
