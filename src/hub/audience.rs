//! Which of a worker's sessions a publish is for, and its delivery to them.

use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::subscription_index::Found;
use super::user_index::UserEntry;
use super::{Delivered, Hub, Priority, Session, SessionId};
use crate::bus::{Envelope, EnvelopeKind};
use crate::delivery::CopyKind;
use crate::domain::{MembershipNotice, MessageId, Micros, RoutingKey, Subject};
use crate::layout::key_hash;
use crate::watermark::RoomState;

/// The sessions that a publish is for.
pub type Audience = SmallVec<[Rc<Session>; 4]>;

impl Hub {
    /// Delivers a publish to the sessions that this copy is for. The publishing session is left
    /// out: it has the content already, or wants no copy.
    pub fn deliver(
        &mut self,
        envelope: &Envelope,
        via: CopyKind,
        except: Option<u64>,
    ) -> Delivered {
        let audience = self.audience(envelope, via, except);
        self.deliver_all(&audience, envelope)
    }

    /// Returns every session that a copy of a publish is for, once, without the one with the number
    /// `except`. A message counts as delivered to them from here on.
    pub fn audience(
        &mut self,
        envelope: &Envelope,
        via: CopyKind,
        except: Option<u64>,
    ) -> Audience {
        match (envelope.kind, envelope.message_id()) {
            (EnvelopeKind::Message, Some(id)) => {
                let mut audience = Audience::new();
                for key in &envelope.keys {
                    audience.extend(self.claim(key, id, except));
                }
                audience
            }
            (EnvelopeKind::Membership, Some(id)) => self.news_audience(envelope, id),
            _ => {
                let found = self.event_audience(envelope, via);
                let sessions = found.iter().map(|id| Rc::clone(&self.sessions[id.place()]));
                sessions.filter(|session| Some(session.number) != except).collect()
            }
        }
    }

    /// Delivers a publish to these sessions.
    pub fn deliver_all(&mut self, audience: &[Rc<Session>], envelope: &Envelope) -> Delivered {
        match (envelope.kind, envelope.message_id()) {
            (EnvelopeKind::Message, Some(id)) => {
                let room = envelope.keys.first().and_then(RoutingKey::as_room);
                self.deliver_message(audience, id, room, &envelope.frame)
            }
            _ => self.deliver_event(audience, &envelope.frame),
        }
    }

    /// Returns whether a message is still for a session: the user may have left the room meanwhile.
    pub fn is_still_for(&self, session: &Session, room: Option<&str>, id: MessageId) -> bool {
        room.is_none_or(|room| {
            self.user_rooms(&session.user).is_some_and(|rooms| rooms.is_owed(room, id))
        })
    }

    /// Returns whether a publish may be for more than `max` sessions here. A session counts twice
    /// if two keys or patterns select it: the estimate must cost less than the audience itself.
    pub fn may_exceed(&self, envelope: &Envelope, max: usize) -> bool {
        let mut count = match envelope.kind {
            EnvelopeKind::Event => self.listening(envelope),
            _ => 0,
        };
        for user_entry in envelope.keys.iter().flat_map(|key| self.users_of(key)) {
            if count > max {
                break;
            }
            count += user_entry.sessions.len();
        }
        count > max
    }

    fn listening(&self, envelope: &Envelope) -> usize {
        Subject::parse(&envelope.about).map_or(0, |subject| self.subscriptions.count(&subject))
    }

    /// Returns a key's users: one user, or the members of a room.
    fn users_of(&self, key: &RoutingKey) -> impl Iterator<Item = &UserEntry> {
        let user = key.as_user().and_then(|user| self.users.of(user));
        let members = key.as_room().into_iter().flat_map(|room| self.users.members(room));
        user.into_iter().chain(members)
    }

    /// Delivers a publish to those of these sessions that it is still for, after a pause. A session
    /// that ended, left the room or unsubscribed gets nothing after that.
    pub fn deliver_rest(
        &mut self,
        audience: &[Rc<Session>],
        envelope: &Envelope,
        via: CopyKind,
    ) -> Delivered {
        let subject = Subject::parse(&envelope.about).ok();
        let hears = |session: &Session| subject.as_ref().is_some_and(|it| session.hears(it, via));
        let room = envelope.keys.first().and_then(RoutingKey::as_room);
        let stays = |session: &&Rc<Session>| match (envelope.kind, envelope.message_id()) {
            _ if session.id().is_none() => false,
            (EnvelopeKind::Message, Some(id)) => self.is_still_for(session, room, id),
            _ => envelope.keys.iter().any(|key| self.is_reached(session, key)) || hears(session),
        };
        let staying: Audience = audience.iter().filter(stays).cloned().collect();
        self.deliver_all(&staying, envelope)
    }

    /// Returns whether a key selects a session: its user's own key, or that of a room its user is
    /// in.
    fn is_reached(&self, session: &Session, key: &RoutingKey) -> bool {
        let inside = |room: &str| {
            let rooms = self.user_rooms(&session.user);
            rooms.and_then(|rooms| rooms.get(room)).is_some_and(RoomState::is_inside)
        };
        key.as_user() == Some(session.user.as_str()) || key.as_room().is_some_and(inside)
    }

    /// Delivers a message that was read for all sessions of a key to those that have not got it.
    /// `watermark` is the worker's: deliveries at or below it are not remembered.
    pub fn offer(
        &mut self,
        key: &RoutingKey,
        id: MessageId,
        frame: &Bytes,
        watermark: Micros,
    ) -> Delivered {
        let mut audience = self.claim(key, id, None);
        audience.retain(|session| self.floor_of(session, key, watermark) < id.time());
        self.deliver_message(&audience, id, key.as_room(), frame)
    }

    /// Returns up to which time a session has everything of a key.
    fn floor_of(&self, session: &Session, key: &RoutingKey, watermark: Micros) -> Micros {
        let above = session.recovery.position().above(watermark);
        let pending = key.as_room().and_then(|room| {
            self.user_rooms(&session.user)?.due().find(|due| due.room.as_str() == room)
        });
        pending.map_or(above, |due| above.min(due.above))
    }

    /// Returns above which time a round must read for a key; `None` if it reads for no session of
    /// it.
    pub fn floor(&self, key: &RoutingKey, watermark: Micros) -> Option<Micros> {
        let users = self.users_of(key);
        let sessions =
            users.flat_map(|user_entry| &user_entry.sessions).map(|id| &self.sessions[id.place()]);
        let listed = sessions.filter(|session| session.recovery.takes_rounds());
        listed.map(|session| self.floor_of(session, key, watermark)).min()
    }

    /// Returns the sessions of a key that a message is for and that have not got it. Records the
    /// delivery.
    fn claim(&mut self, key: &RoutingKey, id: MessageId, except: Option<u64>) -> Audience {
        let hash = key_hash(key);
        let known = self.recent_deliveries.knows(id, hash);
        let mut audience = Audience::new();
        let mut anybody = false;
        let mut add = |user_entry: &UserEntry| {
            anybody = true;
            for place in &user_entry.sessions {
                let session = &self.sessions[place.place()];
                let since = session.recovery.place();
                let since = key.as_room().map_or(since, |room| user_entry.rooms.place(room, since));
                let had = known && self.recent_deliveries.had(id, hash, since);
                if !had && Some(session.number) != except {
                    audience.push(Rc::clone(session));
                }
            }
        };
        if let Some(room) = key.as_room() {
            self.users.members(room).filter(|it| it.rooms.is_owed(room, id)).for_each(&mut add);
        } else if let Some(user) = key.as_user() {
            self.users.of(user).into_iter().for_each(&mut add);
        }
        if anybody {
            self.recent_deliveries.note(id, hash);
        }
        audience
    }

    /// Returns the sessions of a room's members that get news of another user's membership. Only
    /// the first copy of the news has any.
    fn news_audience(&mut self, envelope: &Envelope, stamp: MessageId) -> Audience {
        let (Some(key), Ok(news)) =
            (envelope.keys.first(), envelope.about.parse::<MembershipNotice>())
        else {
            return Audience::new();
        };
        let (Some(room), hash) = (key.as_room(), key_hash(key)) else { return Audience::new() };
        if self.recent_deliveries.knows(stamp, hash) {
            return Audience::new();
        }
        let others =
            self.users.members(room).filter(|user_entry| user_entry.user != news.membership.user);
        let sessions = others.flat_map(|user_entry| &user_entry.sessions);
        let audience = sessions.map(|id| Rc::clone(&self.sessions[id.place()])).collect();
        self.recent_deliveries.note(stamp, hash);
        audience
    }

    /// Returns every session that a copy of an event is for, once.
    pub(super) fn event_audience(&self, envelope: &Envelope, via: CopyKind) -> Found {
        let mut found = Found::new();
        for key in &envelope.keys {
            let users = self.users_of(key);
            found.extend(users.flat_map(|user_entry| user_entry.sessions.iter().copied()));
        }
        if let Ok(subject) = Subject::parse(&envelope.about) {
            self.subscriptions.find(&subject, via, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn deliver_message(
        &mut self,
        audience: &[Rc<Session>],
        id: MessageId,
        room: Option<&str>,
        frame: &Bytes,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        for session in audience {
            if let Some(handed) = session.deliver_message(id, room, frame) {
                delivered.count(handed);
                self.mark_cursor_due(session);
                self.touch(session);
            }
        }
        delivered
    }

    fn deliver_event(&mut self, audience: &[Rc<Session>], frame: &Bytes) -> Delivered {
        let mut delivered = Delivered::default();
        for session in audience {
            delivered.count(session.deliver_frame(frame.clone(), Priority::Event));
            self.touch(session);
        }
        delivered
    }

    /// Returns the sessions of a user.
    pub fn sessions_of_user(&self, user: &str) -> SmallVec<[Rc<Session>; 2]> {
        let held = |id: &SessionId| Rc::clone(&self.sessions[id.place()]);
        self.users
            .of(user)
            .map(|user_entry| user_entry.sessions.iter().map(held).collect())
            .unwrap_or_default()
    }
}
