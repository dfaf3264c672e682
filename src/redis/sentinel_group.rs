//! The sentinels of a shard, and the primary that they name.
//!
//! All of them are asked at every connection, because one of them may be late: it names the old
//! primary, which may still believe in itself. Each failover has a number, its epoch. The server of
//! the newest epoch is tried first. It is used only if it says itself that it is a primary.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{PushInfo, cmd};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::address::RedisAddress;
use super::candidates::{Candidate, candidates};
use super::connect::{RedisConnection, connect};
use super::endpoint::Endpoint;
use super::error::ConnectError;
use super::options::ConnectOptions;
use super::sentinel_answer::NamedPrimary;
use super::sentinel_link::{SentinelError, SentinelLink};
use super::sentinel_states::SentinelStates;

/// How long the others may still answer once most sentinels have. One whose machine is gone must
/// not hold up a failover.
const REST_WITHIN: Duration = Duration::from_millis(100);

/// How old the answers of all sentinels may be for a connection that is made. After a failover all
/// connections of a node are made at once, and one round of questions is enough for them.
const ROUND_AGE_MAX: Duration = Duration::from_millis(200);

/// Most servers that are tried in one attempt. With the sentinels' own time, and that of a round before
/// which is waited for, an attempt takes up to five times [`ConnectOptions::connect`].
const CANDIDATES_MAX: usize = 3;

/// What an operator configures of the sentinels of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelOptions {
    /// The name of the master at the sentinels.
    pub master: String,
    /// The sentinels.
    pub sentinels: Vec<Endpoint>,
    /// How to get into a sentinel: the address of any, whose host and port do not count.
    pub sentinel: RedisAddress,
    /// How to get into the primary: the address of any, whose host and port do not count.
    pub primary: RedisAddress,
}

/// The sentinels of a shard, and the primary that is known.
pub struct SentinelGroup {
    options: SentinelOptions,
    known: watch::Sender<Option<NamedPrimary>>,
    states: SentinelStates,
    /// The last round of questions; one is asked at a time.
    round: Mutex<Option<Round>>,
}

/// What each sentinel answered, by their places.
type Answers = Arc<[Result<NamedPrimary, SentinelError>]>;

/// A question to all sentinels.
struct Round {
    asked: Instant,
    answers: Answers,
}

/// Why a server that sentinels name is not used.
#[derive(Debug, thiserror::Error)]
enum CandidateError {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("it is a replica")]
    Replica,
    #[error("{0} is newer")]
    Late(Endpoint),
}

/// A search that found no primary.
struct FailedSearch {
    answers: Answers,
    refused: Vec<(Candidate, CandidateError)>,
}

impl FailedSearch {
    /// Whether sentinels name late servers and nothing else.
    fn is_late(&self) -> bool {
        let is_late = |(_, error): &(_, CandidateError)| matches!(error, CandidateError::Late(_));
        !self.refused.is_empty() && self.refused.iter().all(is_late)
    }
}

impl SentinelGroup {
    /// The sentinels that an operator configured, of which none was asked yet.
    pub fn new(options: SentinelOptions) -> Self {
        let states = SentinelStates::of(options.sentinels.len());
        Self { options, known: watch::Sender::new(None), states, round: Mutex::new(None) }
    }

    /// What was configured.
    pub const fn options(&self) -> &SentinelOptions {
        &self.options
    }

    /// Connects to the primary. An error has a reason for each sentinel.
    pub(super) async fn connect(
        &self,
        options: &ConnectOptions,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<(RedisConnection, PrimaryChange), ConnectError> {
        let answers = self.answers(options, ROUND_AGE_MAX).await;
        let found = self.find(answers, options, on_push).await;
        found.map_err(|search| self.no_primary(&search))
    }

    /// Looks for a new primary; the connections to the one before end if there is one. Returns
    /// whether what the sentinels name is settled, so that it need not be tried again.
    pub(super) async fn look(&self, options: &ConnectOptions) -> bool {
        let answers = self.answers(options, Duration::ZERO).await;
        match self.find(answers, options, |_push| ()).await {
            Ok(_connected) => true,
            Err(search) => {
                let error = self.no_primary(&search);
                tracing::debug!(%error, "a sentinel names a new primary, which is not usable");
                search.is_late()
            }
        }
    }

    async fn find(
        &self,
        answers: Answers,
        options: &ConnectOptions,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<(RedisConnection, PrimaryChange), FailedSearch> {
        let on_push = Arc::new(on_push);
        let named = answers.iter().enumerate();
        let named =
            named.filter_map(|(place, answer)| Some((place, answer.as_ref().ok()?.clone())));
        let found = candidates(named);
        let mut refused = Vec::new();
        for candidate in found.into_iter().take(CANDIDATES_MAX) {
            let on_push = Arc::clone(&on_push);
            match self.try_candidate(&candidate, options, move |push| on_push(push)).await {
                Ok(connection) => return Ok(connection),
                Err(error) => refused.push((candidate, error)),
            }
        }
        Err(FailedSearch { answers, refused })
    }

    /// Returns what all sentinels answered in a round that began at most `age` before this call.
    async fn answers(&self, options: &ConnectOptions, age: Duration) -> Answers {
        let called = Instant::now();
        let mut round = self.round.lock().await;
        if let Some(round) = round.as_ref().filter(|round| round.asked + age >= called) {
            return Arc::clone(&round.answers);
        }
        let asked = Instant::now();
        let answers: Answers = self.ask_all(options).await.into();
        *round = Some(Round { asked, answers: Arc::clone(&answers) });
        answers
    }

    /// Asks all sentinels at once.
    async fn ask_all(&self, options: &ConnectOptions) -> Vec<Result<NamedPrimary, SentinelError>> {
        let late = || Err(ConnectError::Timeout(options.connect).into());
        let mut answers: Vec<_> = self.options.sentinels.iter().map(|_| late()).collect();
        let mut asking = JoinSet::new();
        for place in 0..answers.len() {
            let (sentinel, master) = (self.sentinel(place), self.options.master.clone());
            let options = *options;
            asking.spawn(async move {
                let asked =
                    async { SentinelLink::open(&sentinel, &options).await?.ask(&master).await };
                (place, asked.await)
            });
        }
        let mut until = Instant::now() + options.connect;
        while let Ok(Some(answer)) = timeout_at(until, asking.join_next()).await {
            let Ok((place, answer)) = answer else { continue };
            answers[place] = answer;
            if answers.iter().filter(|answer| answer.is_ok()).count() * 2 > answers.len() {
                until = until.min(Instant::now() + REST_WITHIN);
            }
        }
        answers
    }

    async fn try_candidate(
        &self,
        candidate: &Candidate,
        options: &ConnectOptions,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<(RedisConnection, PrimaryChange), CandidateError> {
        self.check_newest(candidate)?;
        let endpoint = candidate.primary.endpoint.clone();
        let address = self.options.primary.at(&endpoint);
        let mut connection = connect(&address, options, on_push).await?;
        let asked = timeout(options.connect, is_primary(&mut connection.commands));
        let late = |_elapsed| ConnectError::Timeout(options.connect);
        if !asked.await.map_err(late)?? {
            return Err(CandidateError::Replica);
        }
        self.adopt(candidate)?;
        Ok((connection, PrimaryChange { endpoint, known: self.known.subscribe() }))
    }

    fn check_newest(&self, candidate: &Candidate) -> Result<(), CandidateError> {
        match &*self.known.borrow() {
            Some(known) if !candidate.may_replace(known, self.options.sentinels.len()) => {
                Err(CandidateError::Late(known.endpoint.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Makes a server the known primary. The connections to another one end by that.
    fn adopt(&self, candidate: &Candidate) -> Result<(), CandidateError> {
        let mut adopted = Ok(());
        let mut replaced = None;
        self.known.send_if_modified(|known| {
            let sentinels = self.options.sentinels.len();
            if let Some(known) = known.as_ref().filter(|it| !candidate.may_replace(it, sentinels)) {
                adopted = Err(CandidateError::Late(known.endpoint.clone()));
                return false;
            }
            let old = known.replace(candidate.primary.clone());
            let is_same =
                old.as_ref().is_some_and(|old| old.endpoint == candidate.primary.endpoint);
            replaced = old.filter(|_| !is_same);
            !is_same
        });
        if let Some(old) = replaced {
            let (master, NamedPrimary { endpoint, epoch }) =
                (&self.options.master, &candidate.primary);
            let old = old.endpoint;
            tracing::info!(
                "master {master}: {endpoint} is the primary now, not {old} (epoch {epoch})"
            );
        }
        adopted
    }

    fn no_primary(&self, FailedSearch { answers, refused }: &FailedSearch) -> ConnectError {
        let reason = |(place, answer): (usize, &Result<NamedPrimary, SentinelError>)| {
            let sentinel = &self.options.sentinels[place];
            let named = match answer {
                Err(error) => return format!("sentinel {sentinel}: {error}"),
                Ok(named) => &named.endpoint,
            };
            match refused.iter().find(|(candidate, _)| candidate.named_by.contains(&place)) {
                Some((_, error)) => format!("sentinel {sentinel} names {named}: {error}"),
                None => format!("sentinel {sentinel} names {named}, which was not tried yet"),
            }
        };
        let reasons: Vec<String> = answers.iter().enumerate().map(reason).collect();
        ConnectError::NoPrimary { master: self.options.master.clone(), reasons: reasons.join("; ") }
    }

    /// The address of a sentinel, by its place in the configuration.
    pub(super) fn sentinel(&self, place: usize) -> RedisAddress {
        self.options.sentinel.at(&self.options.sentinels[place])
    }

    /// Logs that a sentinel names a primary again.
    pub(super) fn note_usable(&self, place: usize) {
        let SentinelOptions { master, sentinels, .. } = &self.options;
        if self.states.came_back(place) {
            tracing::info!("master {master}: sentinel {} is back", sentinels[place]);
        }
    }

    /// Logs that a sentinel names no primary, once until it does again.
    pub(super) fn note_unusable(&self, place: usize, error: &SentinelError) {
        let SentinelOptions { master, sentinels, .. } = &self.options;
        if self.states.went_away(place) {
            tracing::warn!("master {master}: sentinel {} is of no use: {error}", sentinels[place]);
        }
    }

    /// Whether a sentinel may know of a failover that is not known here; `said` is what it named
    /// before. A late sentinel names an old server in an old epoch, and does so all the time.
    pub(super) fn is_news(&self, named: &NamedPrimary, said: Option<&NamedPrimary>) -> bool {
        self.known.borrow().as_ref().is_none_or(|known| {
            named.endpoint != known.endpoint && (named.epoch > known.epoch || said != Some(named))
        })
    }
}

/// Tells a connection to a primary that another server is the primary now.
#[derive(Debug, Clone)]
pub(super) struct PrimaryChange {
    endpoint: Endpoint,
    known: watch::Receiver<Option<NamedPrimary>>,
}

impl PrimaryChange {
    fn is_other(&self, known: Option<&NamedPrimary>) -> bool {
        known.is_some_and(|known| known.endpoint != self.endpoint)
    }

    /// Whether another server is the primary.
    pub(super) fn has_happened(&self) -> bool {
        self.is_other(self.known.borrow().as_ref())
    }

    /// Resolves when another server is the primary.
    pub(super) async fn happened(&self) {
        let mut known = self.known.clone();
        if known.wait_for(|known| self.is_other(known.as_ref())).await.is_err() {
            // The group is gone, so nothing more is learnt.
            std::future::pending::<()>().await;
        }
    }
}

/// Asks the server itself, by the part of `INFO` that every user of Narrowcast may read.
async fn is_primary(commands: &mut MultiplexedConnection) -> Result<bool, ConnectError> {
    let text: String = cmd("INFO").arg("replication").query_async(commands).await?;
    Ok(text.lines().any(|line| line.trim_end() == "role:master"))
}

/// Equal as configurations are: what is known plays no part.
impl PartialEq for SentinelGroup {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

impl Eq for SentinelGroup {}

impl fmt::Debug for SentinelGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.options, f)
    }
}

/// The master and the sentinels.
impl fmt::Display for SentinelOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentinels: Vec<String> = self.sentinels.iter().map(ToString::to_string).collect();
        write!(f, "{} at {}", self.master, sentinels.join(", "))
    }
}
