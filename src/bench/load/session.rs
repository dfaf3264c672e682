//! One session of a load: its connection, its cursor, and what it has asked for.

use std::collections::VecDeque;

use ahash::AHashMap;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::frame::LoadGap;
use crate::client::{Keepalive, KeepaliveAction};

/// What an answer is for.
#[derive(Debug)]
pub(super) enum AnswerPurpose {
    /// The answer to a request of the load.
    Request(u64),
    /// That its topic is heard.
    Topic,
    /// A page of history that fills a gap.
    Gap(LoadGap),
    /// A page of the inbox, all of whose conversations are loaded.
    Inbox,
}

/// A connection of a session.
#[derive(Debug)]
pub(super) struct LoadLink {
    /// Frames to be written.
    pub(super) frames: Sender<String>,
    /// Told why the connection has to be given up. The first reason counts.
    pub(super) given_up: Sender<&'static str>,
    pub(super) keepalive: Keepalive,
}

/// A session.
#[derive(Debug, Default)]
pub(super) struct LoadSession {
    pub(super) link: Option<LoadLink>,
    /// Whether requests are sent: its first cursor is here, and its topic is heard.
    pub(super) is_live: bool,
    /// Connections that became live.
    pub(super) connections: u32,
    pub(super) cursor: Option<String>,
    /// Requests that were sent, by the id that their answers carry.
    pub(super) asked: AHashMap<u64, AnswerPurpose>,
    /// What its history still has to fill, and whether its inbox has to be loaded: a read was
    /// refused or not queued, or its connection ended.
    pub(super) unfilled: Vec<LoadGap>,
    pub(super) reload_due: bool,
    /// Requests that wait for a connection.
    pub(super) waiting: VecDeque<u64>,
    /// Told how the first connection went.
    pub(super) opened: Option<oneshot::Sender<Result<(), String>>>,
    /// The last error that answered nothing: mostly why the node is about to close.
    pub(super) said: Option<String>,
    /// Whether it never comes back.
    pub(super) is_gone: bool,
}

impl LoadSession {
    /// Queues a frame; returns whether it was.
    pub(super) fn write(&self, frame: String) -> bool {
        self.link.as_ref().is_some_and(|link| link.frames.try_send(frame).is_ok())
    }

    /// Sends a request of its own, which belongs to no entry; returns whether it was queued.
    pub(super) fn ask(&mut self, id: u64, frame: String, answer: AnswerPurpose) -> bool {
        let is_queued = self.write(frame);
        if is_queued {
            self.asked.insert(id, answer);
        } else {
            self.put_back(answer);
        }
        is_queued
    }

    /// Keeps a read of history for another try; returns the number of a request of the load.
    pub(super) fn put_back(&mut self, answer: AnswerPurpose) -> Option<u64> {
        match answer {
            AnswerPurpose::Request(number) => return Some(number),
            AnswerPurpose::Gap(gap) => self.unfilled.push(gap),
            AnswerPurpose::Inbox => self.reload_due = true,
            AnswerPurpose::Topic => {}
        }
        None
    }

    /// Gives up the connection for a reason.
    pub(super) fn give_up(&self, why: &'static str) {
        if let Some(link) = &self.link {
            // A full channel has a reason already.
            let _has_one = link.given_up.try_send(why);
        }
    }

    /// What it lacks to be live, in words.
    pub(super) const fn missing(&self) -> &'static str {
        match (&self.link, &self.cursor) {
            (None, _) => "connection",
            (Some(_), None) => "cursor",
            (Some(_), Some(_)) => "answer to its subscription",
        }
    }

    /// Notes that the node is alive.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(link) = &mut self.link {
            link.keepalive.broken(now);
        }
    }

    /// Pings a node that is silent, and gives up a connection that stays silent.
    pub(super) fn tend(&mut self, now: Instant) {
        let Some(link) = &mut self.link else { return };
        match link.keepalive.judge(now) {
            KeepaliveAction::Alive => {}
            KeepaliveAction::Ask => {
                // A full queue is silence too, and is given up in the end.
                let _queued = link.frames.try_send(r#"{"op":"ping"}"#.into());
            }
            KeepaliveAction::Gone => self.give_up("the node is silent"),
        }
    }

    /// Notes the end of its connection, and returns the requests that were not answered.
    pub(super) fn lost(&mut self) -> Vec<u64> {
        self.link = None;
        self.is_live = false;
        let answers = std::mem::take(&mut self.asked).into_values();
        let mut unanswered: Vec<_> = answers.filter_map(|answer| self.put_back(answer)).collect();
        unanswered.sort_unstable();
        unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_history_had_to_fill_is_kept_for_the_next_connection() {
        let gap = LoadGap { conversation: "dm.a.b".into(), after: Some("x".into()), before: None };
        let mut session = LoadSession::default();
        session.asked.insert(9, AnswerPurpose::Request(9));
        session.asked.insert(3, AnswerPurpose::Request(3));
        session.asked.insert(1, AnswerPurpose::Gap(gap));
        session.asked.insert(2, AnswerPurpose::Inbox);
        session.asked.insert(4, AnswerPurpose::Topic);
        assert_eq!(session.lost(), [3, 9]);
        assert_eq!((session.unfilled.len(), session.reload_due), (1, true));
        assert!(session.asked.is_empty() && !session.is_live);
    }
}
