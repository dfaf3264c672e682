//! A load on nodes, from its first device to the verdict.

use std::sync::Arc;

use parking_lot::Mutex;

use super::judge::Judge;
use super::load::{Load, User, cast};
use super::log::{Log, SharedLog};
use super::returns::come_back_with_cursors;
use super::verdict::Verdict;

pub struct Trial {
    name: String,
    seed: u64,
    urls: Vec<String>,
    pub users: Vec<User>,
    pub load: Load,
}

impl Trial {
    /// Lets the devices of a cast write, once each is in a session.
    pub async fn begin(name: &str, urls: &[String]) -> Self {
        let (seed, users) = (rand::random(), cast());
        println!("{name}: seed {seed}");
        let log = Arc::new(Mutex::new(Log::new()));
        let load = Load::start(&users, urls, log, seed).await;
        Self { name: name.to_owned(), seed, urls: urls.to_vec(), users, load }
    }

    /// From here on some device goes to another node, again and again.
    pub fn wander(&mut self) {
        self.load.wander(self.seed);
    }

    pub fn log(&self) -> SharedLog {
        Arc::clone(&self.load.log)
    }

    /// Ends the writing, waits until everything is everywhere, comes back with cursors, and judges.
    pub async fn end(mut self) -> Verdict {
        let log = self.log();
        self.load.settle().await;
        come_back_with_cursors(&self.users, &self.urls, &log).await;
        self.load.end().await;
        let verdict = Judge::new(&log.lock()).verdict();
        println!("{}: {}", self.name, verdict.figures);
        verdict
    }
}
