//! The rooms of a load, by HTTP: they are made before it, and users enter and leave them under it.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashSet;
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use super::fleet::SharedFleet;
use super::run::LoadRun;
use crate::bench::backend::Backend;
use crate::bench::error::BenchError;

/// Connections that change memberships. Those of a user are all on one, in their order.
const CONNECTIONS: usize = 8;

/// Most changes that wait for one of them.
const CHANGES_MAX: usize = 1024;

/// How long an answer may take, and how long to wait before the next try.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(200);

/// Most members that one request adds.
const MEMBERS_A_REQUEST: usize = 500;

/// A user enters a room, or leaves it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomVisit {
    /// The number of the request.
    pub(super) number: u64,
    pub(super) user: u32,
    pub(super) room: u32,
}

/// Makes all rooms with their members.
pub(super) async fn make_rooms(run: &LoadRun, token: &str) -> Result<(), BenchError> {
    let url = &run.urls[0];
    let connected = timeout(ANSWER_TIMEOUT, Backend::connect_as(url, token)).await;
    let mut backend = connected.unwrap_or_else(no_answer).map_err(|error| {
        BenchError::Input(format!("cannot connect to {url} to make rooms: {error}"))
    })?;
    for room in 0..run.population.rooms() {
        let path = format!("/v1/rooms/{}", run.room(room));
        let made = timeout(ANSWER_TIMEOUT, backend.put(&path, "{}")).await;
        made.unwrap_or_else(no_answer).map_err(|error| unmade(url, &path, &error))?;
        let users: Vec<_> = run.population.members(room).collect();
        for users in users.chunks(MEMBERS_A_REQUEST) {
            let member = |user: &u32| json!({"user": run.users[*user as usize].id.as_str()});
            let members: Vec<_> = users.iter().map(member).collect();
            let body = json!({"members": members}).to_string();
            let path = format!("{path}/members");
            let answer = timeout(ANSWER_TIMEOUT, backend.ask(Method::PUT, &path, &body)).await;
            let answer = answer.unwrap_or_else(no_answer);
            let (status, answer) = answer.map_err(|error| unmade(url, &path, &error))?;
            if status != StatusCode::OK || answer.contains("\"code\":") {
                return Err(BenchError::Answer(format!("{path}: {status} {answer}")));
            }
        }
    }
    Ok(())
}

fn no_answer<T>(_elapsed: Elapsed) -> Result<T, BenchError> {
    Err(BenchError::Answer(format!("no answer within {ANSWER_TIMEOUT:?}")))
}

fn unmade(url: &str, path: &str, error: &BenchError) -> BenchError {
    BenchError::Input(format!("cannot make rooms at {url}: {path}: {error}"))
}

/// Starts the connections that change memberships; returns where changes go, by the user.
pub(super) fn start_changes(fleet: &SharedFleet, token: &str) -> Vec<mpsc::Sender<RoomVisit>> {
    let start = |place: usize| {
        let (changes, queue) = mpsc::channel(CHANGES_MAX);
        let run = Arc::clone(&fleet.lock().run);
        let (inside, backend) = (AHashSet::default(), None);
        let memberships =
            Memberships { run, token: token.to_owned(), node: place, backend, inside };
        tokio::spawn(memberships.work(queue, Arc::clone(fleet)));
        changes
    };
    (0..CONNECTIONS).map(start).collect()
}

/// One connection, and who is where by it.
struct Memberships {
    run: Arc<LoadRun>,
    token: String,
    node: usize,
    backend: Option<Backend>,
    inside: AHashSet<(u32, u32)>,
}

impl Memberships {
    async fn work(mut self, mut queue: mpsc::Receiver<RoomVisit>, fleet: SharedFleet) {
        while let Some(change) = queue.recv().await {
            while !self.is_settled(change, &fleet).await {
                sleep(RETRY).await;
            }
        }
    }

    /// Makes a change; returns whether its outcome is final.
    async fn is_settled(&mut self, change: RoomVisit, fleet: &SharedFleet) -> bool {
        let outcome = self.change(change).await;
        let mut fleet = fleet.lock();
        let tries_again = self.run.comes_back && !fleet.is_over;
        match outcome {
            Ok((status, _)) if status.is_success() => fleet.changed(change.number, true),
            Ok((status, text)) if status.is_client_error() || !tries_again => {
                fleet.refused(change.number, &format!("{status} {text}"));
            }
            Err(_) if !tries_again => fleet.changed(change.number, false),
            Ok(_) | Err(_) => return false,
        }
        true
    }

    async fn change(&mut self, change: RoomVisit) -> Result<(StatusCode, String), BenchError> {
        let place = (change.user, change.room);
        let is_inside = self.inside.contains(&place);
        let method = if is_inside { Method::DELETE } else { Method::PUT };
        // A canonical id is a segment of a path as it stands.
        let user = self.run.users[change.user as usize].id.as_str();
        let path = format!("/v1/rooms/{}/members/{user}", self.run.room(change.room));
        let answer = timeout(ANSWER_TIMEOUT, self.ask(method, &path)).await;
        let answer = answer.unwrap_or_else(no_answer);
        match &answer {
            Ok((status, _)) if status.is_success() => {
                if !self.inside.remove(&place) {
                    self.inside.insert(place);
                }
            }
            Ok(_) => {}
            // Its next request takes another connection, at the next node.
            Err(_) => {
                self.backend = None;
                self.node += 1;
            }
        }
        answer
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, String), BenchError> {
        let backend = if let Some(backend) = self.backend.take() {
            backend
        } else {
            let url = &self.run.urls[self.node % self.run.urls.len()];
            Backend::connect_as(url, &self.token).await?
        };
        self.backend.insert(backend).ask(method, path, "").await
    }
}
