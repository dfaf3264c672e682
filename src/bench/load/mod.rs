//! `bench load`: a mix of requests at a rate, judged as the scripts of `scripts/k6` judge.

mod connection;
mod costs;
mod counts;
mod drive;
mod entry;
mod fleet;
mod frame;
mod ledger;
mod mix;
mod opening;
mod picture;
mod population;
mod report;
mod rooms;
mod run;
mod schedule;
mod seconds;
mod servers;
mod session;
mod users;
mod verdict;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::Instant;

use self::costs::CostMeter;
pub use self::costs::WatchedProcess;
use self::drive::{Drive, DriveOutcome};
use self::fleet::{LoadFleet, SharedFleet};
use self::ledger::LoadLedger;
pub use self::mix::{LoadKind, LoadMix};
pub use self::population::LoadPopulation;
pub use self::report::LoadReport;
use self::report::LoadSettings;
use self::run::LoadRun;
pub use self::seconds::LoadSecond;
use self::seconds::NodeMetrics;
pub use self::servers::LoadServers;
use self::servers::StartedServers;
pub use self::verdict::LoadBounds;
use self::verdict::{GeneratorLags, LoadEvidence};
use self::watch::{OnSecond, Watch, WatchRecord, WatchSignals};
use super::clients::LoadTokens;
use super::error::BenchError;
use super::preflight::{check_nodes, check_redis, check_sockets};

/// Seconds that users' tokens have to last beside the times of the load: sessions open in them. All
/// of them may take longer, and a node refuses a token that ended meanwhile, which ends the run.
const TOKENS_SPARE_S: u64 = 60;

/// Without anything owed, a repeat may still come within this time.
const QUIET: Duration = Duration::from_millis(300);

/// Between two looks at whether all is settled.
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum LoadPace {
    /// So many a second, answered or not.
    Rate(u32),
    /// So many that are unanswered at a time.
    InFlight(u32),
}

/// How long a load lasts.
#[derive(Debug, Clone, Copy)]
pub struct LoadTimes {
    /// What is not in the figures.
    pub warm_up: Duration,
    /// The load.
    pub load: Duration,
    /// How long what is owed may take behind it.
    pub settle: Duration,
}

/// The users' tokens.
#[derive(Debug, Clone, Default)]
pub struct LoadUsers {
    /// The output of `narrowcast token … --json`; without it the development key signs.
    pub file: Option<PathBuf>,
    /// A token with the scope `service`, which makes the rooms.
    pub service: Option<String>,
}

/// What is watched beside the load.
#[derive(Debug, Clone, Default)]
pub struct CostSources {
    /// Processes.
    pub processes: Vec<WatchedProcess>,
    /// Redis servers; nodes that are started for the load use them as shards.
    pub redis: Vec<String>,
}

/// A load.
#[derive(Debug, Clone)]
pub struct LoadBench {
    /// Where it goes.
    pub servers: LoadServers,
    /// The users' tokens.
    pub users: LoadUsers,
    /// What is asked for.
    pub mix: LoadMix,
    /// When.
    pub pace: LoadPace,
    /// By whom.
    pub population: LoadPopulation,
    /// For how long.
    pub times: LoadTimes,
    /// Bytes of padding in each body.
    pub bytes: usize,
    /// Whether sessions come back and sends are tried again.
    pub comes_back: bool,
    /// Seed of every draw.
    pub seed: u64,
    /// What must hold.
    pub bounds: LoadBounds,
    /// What is watched.
    pub watched: CostSources,
}

impl LoadBench {
    /// Runs it. `on_second` is told of each second, one second late where nodes are asked.
    pub async fn run(&self, on_second: OnSecond) -> Result<LoadReport, BenchError> {
        self.check().await?;
        let users = self.users()?;
        let servers = self.servers.start(&self.watched.redis).await?;
        let watched = self.watched.processes.iter().cloned().chain(servers.process()).collect();
        let meter = CostMeter::new(watched, &self.watched.redis).await?;
        let run = self.load_run(users, &servers);
        let service = self.users.service.clone().unwrap_or_else(|| LoadTokens::new().of_service());
        if self.has_rooms() {
            rooms::make_rooms(&run, &service).await?;
        }
        let ledger = LoadLedger::new(self.population, self.bounds.late, self.comes_back);
        let fleet: SharedFleet = Arc::new(Mutex::new(LoadFleet::new(run, ledger)));
        opening::open_sessions(&fleet, opening::OPEN_TIMEOUT).await?;
        if self.mix.has(LoadKind::Join) {
            let changes = rooms::start_changes(&fleet, &service);
            fleet.lock().change_by(changes);
        }
        let metrics = NodeMetrics::new(servers.nodes.clone());
        let (watch, signals) = Watch::new(Arc::clone(&fleet), meter, metrics, on_second);
        let watching = tokio::spawn(watch.run());
        let begins = SystemTime::now() + self.times.warm_up;
        let driven = self.drive(&fleet, &signals).await?;
        let watched = watching.await.map_err(|error| BenchError::Answer(error.to_string()))??;
        servers.stop().await?;
        let fleet = fleet.lock();
        Ok(self.report(&fleet.ledger.figures, begins, driven, watched))
    }

    /// Sends, waits for what is owed, and ends.
    async fn drive(
        &self,
        fleet: &SharedFleet,
        signals: &WatchSignals,
    ) -> Result<DriveOutcome, BenchError> {
        let drive = Drive {
            mix: self.mix,
            population: self.population,
            pace: self.pace,
            warm_up: self.times.warm_up,
            load: self.times.load,
            seed: self.seed,
        };
        let driven = drive.run(fleet, signals).await?;
        settle(fleet, self.times.settle).await;
        let mut fleet = fleet.lock();
        fleet.is_over = true;
        let now_us = fleet.run.now_us();
        fleet.ledger.finish(now_us);
        signals.end();
        Ok(driven)
    }

    fn has_rooms(&self) -> bool {
        self.mix.has(LoadKind::Room) || self.mix.has(LoadKind::Join)
    }

    /// Refuses what cannot be measured: the caller's mistakes first, then what others refuse.
    async fn check(&self) -> Result<(), BenchError> {
        self.check_options()?;
        check_redis(&self.watched.redis).await?;
        match &self.servers {
            LoadServers::Nodes(nodes) => check_nodes(nodes).await,
            LoadServers::Own(_) | LoadServers::Urls(_) => Ok(()),
        }
    }

    fn check_options(&self) -> Result<(), BenchError> {
        check_sockets("--users, --devices", self.population.sessions() as usize)?;
        if self.mix.has(LoadKind::Join) && self.population.rooms() < 2 {
            let LoadPopulation { users, room_members, .. } = self.population;
            return Err(BenchError::Input(format!(
                "--mix has `join`, and --users {users} with --room-members {room_members} make one \
                 room: users have to be twice the members at least"
            )));
        }
        if self.users.file.is_some() && self.has_rooms() && self.users.service.is_none() {
            return Err(BenchError::Input(
                "--service is missing: a mix with `room` or `join` needs the output of `narrowcast \
                 token load --scope service`"
                    .into(),
            ));
        }
        Ok(())
    }

    fn users(&self) -> Result<Vec<users::LoadUser>, BenchError> {
        let LoadTimes { warm_up, load, settle } = self.times;
        let seconds = (warm_up + load + settle).as_secs() + TOKENS_SPARE_S;
        match &self.users.file {
            Some(file) => users::read(file, self.population.users, seconds),
            None => Ok(users::minted(self.population.users)),
        }
    }

    fn load_run(&self, users: Vec<users::LoadUser>, servers: &StartedServers) -> Arc<LoadRun> {
        Arc::new(LoadRun {
            name: format!("{:012x}", rand::random::<u64>() >> 16),
            population: self.population,
            users,
            urls: servers.urls.clone(),
            pad: "x".repeat(self.bytes),
            comes_back: self.comes_back,
            has_topics: self.mix.has(LoadKind::Topic),
            began: Instant::now(),
        })
    }

    fn report(
        &self,
        figures: &ledger::LoadFigures,
        began: SystemTime,
        driven: DriveOutcome,
        watched: WatchRecord,
    ) -> LoadReport {
        let lags = GeneratorLags { ticks: watched.lag, sends: driven.send_lag };
        let evidence = LoadEvidence {
            figures,
            lags: &lags,
            bounds: &self.bounds,
            comes_back: self.comes_back,
            ended_early: driven.ended_early,
        };
        let (form, rate, in_flight) = match self.pace {
            LoadPace::Rate(rate) => ("open", Some(rate), None),
            LoadPace::InFlight(in_flight) => ("closed", None, Some(in_flight)),
        };
        let settings = LoadSettings {
            script: "load",
            form,
            mix: self.mix.to_string(),
            sockets: self.population.sessions(),
            rate,
            in_flight,
            began_ms: began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            duration_ms: self.times.load.as_millis() as u64,
        };
        let seen = (watched.costs, watched.seconds);
        LoadReport::new(settings, evidence.judge(), figures, &lags, seen)
    }
}

/// Waits until all is answered and delivered, for a time at most.
async fn settle(fleet: &SharedFleet, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && !fleet.lock().ledger.is_settled() {
        tokio::time::sleep(SETTLE_POLL).await;
    }
    tokio::time::sleep(QUIET).await;
}
