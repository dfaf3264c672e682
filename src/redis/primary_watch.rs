//! Follows failovers: each sentinel of a shard is listened to and asked again and again.
//!
//! A primary that is demoted stays up, and so do the connections to it. A sentinel closes them only
//! when it makes the old primary a replica, 8 s after the new one took over or later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::options::ConnectOptions;
use super::sentinel_answer::NamedPrimary;
use super::sentinel_group::SentinelGroup;
use super::sentinel_link::{SentinelError, SentinelLink};

/// From one question to a sentinel to the next. It bounds how late a failover is seen of which the
/// sentinel's own notice was lost, or comes late: the sentinel that leads a failover gives notice
/// only when all replicas follow the new primary.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// From a lost connection to the next attempt.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Watches the sentinels of a shard until it is dropped.
#[derive(Debug)]
pub struct PrimaryWatch {
    _tasks: JoinSet<()>,
}

/// What watches one sentinel.
struct SentinelWatch {
    group: Arc<SentinelGroup>,
    place: usize,
    options: ConnectOptions,
    /// One watch of the group looks for the primary at a time.
    search: Arc<Mutex<()>>,
    /// What the sentinel named last, once that was used or found to be late.
    last_named: Option<NamedPrimary>,
}

impl PrimaryWatch {
    /// Starts one task for each sentinel on the current runtime. A primary that is found ends all
    /// connections of the group to the one before.
    pub(super) fn start(group: &Arc<SentinelGroup>, options: &ConnectOptions) -> Self {
        let search = Arc::new(Mutex::new(()));
        let watch = |place| SentinelWatch {
            group: Arc::clone(group),
            place,
            options: *options,
            search: Arc::clone(&search),
            last_named: None,
        };
        let sentinels = 0..group.options().sentinels.len();
        Self { _tasks: sentinels.map(|place| watch(place).run()).collect() }
    }
}

impl SentinelWatch {
    async fn run(mut self) {
        let sentinel = self.group.sentinel(self.place);
        loop {
            let error = match SentinelLink::open(&sentinel, &self.options).await {
                Ok(link) => self.follow(link).await,
                Err(error) => error.into(),
            };
            self.group.note_unusable(self.place, &error);
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Returns why the sentinel names no primary any more.
    async fn follow(&mut self, mut link: SentinelLink) -> SentinelError {
        link.subscribe().await;
        loop {
            let named = match link.ask(&self.group.options().master).await {
                Ok(named) => named,
                Err(error) => return error,
            };
            self.group.note_usable(self.place);
            self.look_if_new(named).await;
            tokio::select! {
                () = link.pushed() => {}
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
    }

    async fn look_if_new(&mut self, named: NamedPrimary) {
        if !self.group.is_news(&named, self.last_named.as_ref()) {
            return;
        }
        let _search = self.search.lock().await;
        let is_news = self.group.is_news(&named, self.last_named.as_ref());
        if !is_news || self.group.look(&self.options).await {
            self.last_named = Some(named);
        }
    }
}
