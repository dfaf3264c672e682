//! What stays as it is over a run of a load, and the frames that follow from it.

use serde_json::json;
use tokio::time::Instant;

use super::frame;
use super::mix::LoadKind;
use super::population::LoadPopulation;
use super::schedule::LoadAction;
use super::users::LoadUser;
use crate::client::CLIENT;

/// Messages of a page that is asked for under load.
const PAGE: u32 = 20;

/// What stays as it is over a run.
#[derive(Debug)]
pub(super) struct LoadRun {
    /// Tells this run from others.
    pub(super) name: String,
    pub(super) population: LoadPopulation,
    pub(super) users: Vec<LoadUser>,
    pub(super) urls: Vec<String>,
    /// Padding of each body.
    pub(super) pad: String,
    /// Whether sessions come back, and sends are tried again.
    pub(super) comes_back: bool,
    /// Whether sessions watch topics.
    pub(super) has_topics: bool,
    /// When the run began: its times are counted from here.
    pub(super) began: Instant,
}

#[cfg(test)]
impl LoadRun {
    /// Two users with a session each, who neither come back nor watch topics.
    pub(super) fn small(url: &str) -> Self {
        let population =
            LoadPopulation { users: 2, devices: 1, room_members: 2, topic_watchers: 2 };
        Self {
            name: "r".into(),
            population,
            users: super::users::minted(population.users),
            urls: vec![url.into()],
            pad: String::new(),
            comes_back: false,
            has_topics: false,
            began: Instant::now(),
        }
    }
}

impl LoadRun {
    pub(super) fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    pub(super) fn user(&self, session: u32) -> &LoadUser {
        &self.users[self.population.user(session) as usize]
    }

    /// The room of that number: its id.
    pub(super) fn room(&self, room: u32) -> String {
        format!("load-{}-{room}", self.name)
    }

    fn topic(&self, session: u32) -> String {
        format!("topic.load-{}-{}", self.name, self.population.topic_of(session))
    }

    pub(super) fn pattern(&self, session: u32) -> String {
        format!("{}.>", self.topic(session))
    }

    pub(super) fn hello(&self, session: u32, cursor: Option<&str>) -> String {
        let token = &self.user(session).token;
        let device = format!("load-{}", session % self.population.devices);
        let mut hello = json!({"op": "hello", "token": token, "client": CLIENT, "device": device});
        if let Some(cursor) = cursor {
            hello["cursor"] = json!(cursor);
        }
        if self.has_topics {
            hello["subscribe"] = json!([self.pattern(session)]);
        }
        hello.to_string()
    }

    /// The frame of a request: the same at each try, but for `fresh`.
    pub(super) fn frame(&self, number: u64, action: LoadAction, is_first: bool) -> String {
        let LoadAction { kind, from, peer } = action;
        let body = || frame::body(&self.name, number, from, &self.pad);
        let direct = || format!("user.{}", self.users[peer as usize].id.as_str());
        match kind {
            LoadKind::Dm => frame::send(number, &direct(), &self.name, &body(), is_first),
            LoadKind::Room | LoadKind::Join => {
                let room = self.population.room_of(self.population.user(from));
                let conversation = format!("room.{}", self.room(room));
                frame::send(number, &conversation, &self.name, &body(), is_first)
            }
            LoadKind::Topic => frame::publish(number, &format!("{}.x", self.topic(from)), &body()),
            LoadKind::History => frame::history(number, &direct(), PAGE),
        }
    }
}
