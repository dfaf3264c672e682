//! Clients: they connect to any node at any time, send, read slowly, and keep their cursors.

use super::event::{Act, Dev, Event, Job, Life, Sid, SimKey, USERS_MAX};
use super::queue::{MILLI, SECOND, Time};
use super::send::{Want, Wish};
use super::session::SimFrame;
use super::store::{Messages, one};
use super::world::World;
use crate::domain::Micros;

/// The longest time until a client reconnects.
const BACK: Time = 5 * SECOND;

/// A device.
#[derive(Debug)]
pub struct SimDevice {
    /// Its user.
    pub user: u8,
    /// The session that it is connected to.
    pub session: Option<Sid>,
    /// The cursor that it holds.
    pub cursor: Option<Micros>,
    /// The messages that it was shown.
    pub received: Messages,
    /// The messages that it is not owed.
    pub exempt: Messages,
    /// Whether a send is unanswered.
    pub waiting: bool,
    /// The newest id that it has seen.
    pub seen: Micros,
    /// The id of its last answered send.
    pub sent: Micros,
}

impl SimDevice {
    /// Makes a new device.
    pub const fn new(user: u8) -> Self {
        Self {
            user,
            session: None,
            cursor: None,
            received: 0,
            exempt: 0,
            waiting: false,
            seen: Micros(0),
            sent: Micros(0),
        }
    }
}

impl World {
    /// The device of a session, if it listens.
    pub fn listener(&self, sid: Sid) -> Option<Dev> {
        let session = &self.clients.sessions[usize::from(sid)];
        session.link.attached.then_some(session.device)
    }

    /// Carries out an act of a client.
    pub fn act(&mut self, device: Dev, act: Act) {
        let it = &self.clients.devices[usize::from(device)];
        match act {
            Act::Pump(sid) => self.pump(device, sid),
            Act::Lost(sid) => {
                if it.session == Some(sid) {
                    self.come_back(device);
                }
            }
            Act::Connect => self.connect_client(device),
            Act::To(node) => self.connect_there(device, usize::from(node)),
            Act::Send if it.session.is_some() => self.wish(device),
            Act::Say(room) if it.session.is_some() => self.wish_for(device, Want::Room(room)),
            Act::Serve(room) if it.session.is_some() => {
                self.wish_for(device, Want::Service(room));
            }
            Act::Churn if it.session.is_some() => self.wish_for_change(device),
            Act::Change(user, room, inside) if it.session.is_some() => {
                self.wish_for(device, Want::Change { user, room, inside });
            }
            Act::Send | Act::Say(_) | Act::Serve(_) | Act::Churn | Act::Change(..) => {
                self.connect_client(device);
            }
            Act::Any => match self.rng.below(10) {
                0 | 1 if it.session.is_some() => {
                    self.leave(device);
                    self.come_back(device);
                }
                2..=4 if it.session.is_some() => self.wish(device),
                _ => self.connect_client(device),
            },
        }
    }

    fn come_back(&mut self, device: Dev) {
        let it = &mut self.clients.devices[usize::from(device)];
        (it.session, it.waiting) = (None, false);
        let wait = self.rng.below(BACK);
        self.queue.push(self.now + wait, Event::Client(device, Act::Connect));
    }

    /// Makes a client leave its session, whose node notices at some time.
    pub fn leave(&mut self, device: Dev) {
        let it = &mut self.clients.devices[usize::from(device)];
        it.waiting = false;
        let Some(sid) = it.session.take() else { return };
        let wait = if self.controls.script.is_some() || self.rng.chance(700) {
            self.rng.below(20 * MILLI)
        } else {
            self.rng.below(20 * SECOND)
        };
        let session = self.session(sid);
        session.link.attached = false;
        let close = Event::Thread(session.at, Job::Close(sid));
        self.queue.push(self.now + wait, close);
    }

    /// Connects a client to some node.
    fn connect_client(&mut self, device: Dev) {
        let open = |node: &super::node::SimNode| node.alive && !node.draining;
        let nodes = self.nodes.iter().enumerate().filter(|(_, node)| open(node));
        let nodes = nodes.fold(0, |mask, (index, _)| mask | 1 << index);
        self.leave(device);
        if nodes == 0 {
            return self.come_back(device);
        }
        let node = self.rng.bit_of(nodes) as usize;
        let fresh = self.rng.chance(self.plan.chances.fresh);
        self.connect_to(device, node, fresh);
    }

    /// Connects a client to one node, if the node accepts it.
    fn connect_there(&mut self, device: Dev, node: usize) {
        if self.nodes.get(node).is_some_and(|node| node.alive && !node.draining) {
            self.leave(device);
            self.connect_to(device, node, false);
        }
    }

    /// Connects a client to a node, with its cursor or as if it were new.
    pub fn connect_to(&mut self, device: Dev, node: usize, fresh: bool) -> Sid {
        let it = &mut self.clients.devices[usize::from(device)];
        if fresh {
            (it.cursor, it.received, it.exempt) = (None, 0, 0);
        }
        let (user, cursor) = (it.user, it.cursor);
        // With rooms, the devices of a user are at several workers.
        let spread = if self.plan.size.rooms > 0 { device / self.plan.size.users } else { 0 };
        let worker = usize::from(user + spread) % self.nodes[node].workers.len();
        let at = self.nodes[node].worker_at(worker);
        let sid = self.open_session(device, user, at, cursor);
        trace!(self, "device {device} of {user} connects to {node} as {sid} from {cursor:?}");
        self.clients.devices[usize::from(device)].session = Some(sid);
        let way = self.rng.below(5 * MILLI);
        self.queue.push(self.now + way, Event::Thread(at, Job::Hello(sid)));
        sid
    }

    /// Makes a client send a message to a random user or room.
    fn wish(&mut self, device: Dev) {
        let user = self.clients.devices[usize::from(device)].user;
        if let Some(room) = self.draw_room_of(user) {
            return self.wish_for(device, Want::Room(room));
        }
        let others = self.plan.size.users - 1;
        let to = (user + 1 + self.rng.below(u64::from(others)) as u8) % self.plan.size.users;
        self.wish_for(device, Want::Direct(to));
    }

    /// Makes a client ask for a random user to join or leave a room.
    fn wish_for_change(&mut self, device: Dev) {
        let user = self.rng.below(u64::from(self.plan.size.users)) as u8;
        let room = USERS_MAX + self.rng.below(u64::from(self.plan.size.rooms)) as SimKey;
        let inside = self.rng.chance(600);
        self.wish_for(device, Want::Change { user, room, inside });
    }

    /// Draws a room of the user, or none for a message to another user.
    fn draw_room_of(&mut self, user: u8) -> Option<SimKey> {
        let rooms = u64::from(self.plan.size.rooms);
        if rooms == 0 || self.rng.chance(300) {
            return None;
        }
        let room = USERS_MAX + self.rng.below(rooms) as SimKey;
        self.history.members.owed_above(user, room).map(|_| room)
    }

    /// Makes a client send something, unless its last send is unanswered.
    pub fn wish_for(&mut self, device: Dev, want: Want) {
        let it = &mut self.clients.devices[usize::from(device)];
        let Some(session) = it.session else { return };
        if std::mem::replace(&mut it.waiting, true) {
            return;
        }
        self.clients.wishes.push(Wish::new(session, want, it.seen));
        let job = Job::Send(self.clients.wishes.len() as u16 - 1);
        let at = self.session(session).at;
        let way = self.rng.below(2 * MILLI);
        self.queue.push(self.now + way, Event::Thread(at, job));
    }

    /// Shows a client what a session sent it.
    pub fn receive(&mut self, device: Dev, sid: Sid, frame: SimFrame) {
        let it = &mut self.clients.devices[usize::from(device)];
        if it.session != Some(sid) {
            return;
        }
        match frame {
            SimFrame::Message(message) => {
                it.received |= one(message);
                it.seen = it.seen.max(self.history.messages[usize::from(message)].id.time());
            }
            SimFrame::Sent(message) => {
                let id = self.history.messages[usize::from(message)].id.time();
                it.received |= one(message);
                it.waiting = false;
                let rises = id > it.sent;
                (it.sent, it.seen) = (id, it.seen.max(id));
                if !rises {
                    self.object(super::oracle::Broken::Order, device, Some(message));
                }
            }
            SimFrame::Cursor(cursor, passed, gaps) => {
                if it.cursor.is_none() {
                    it.exempt |= passed;
                }
                it.exempt |= gaps;
                it.cursor = it.cursor.max(Some(cursor));
                trace!(self, "device {device} cursor {cursor}");
                self.judge_cursor(device);
            }
        }
    }

    /// Tells a session's client that the session is gone.
    pub fn tell_lost(&mut self, sid: Sid) {
        let session = self.session(sid);
        if std::mem::take(&mut session.link.attached) {
            let device = session.device;
            let way = self.rng.below(SECOND);
            self.queue.push(self.now + way, Event::Client(device, Act::Lost(sid)));
        }
    }

    /// Ends the sessions of a node that is gone.
    pub fn lose_sessions(&mut self, life: Life) {
        for sid in 0..self.clients.sessions.len() as Sid {
            if self.session(sid).at.life == life {
                self.tell_lost(sid);
            }
        }
    }

    /// Ends a node's sessions in waves.
    pub fn close_sessions(&mut self, life: Life, within: Time) {
        for sid in 0..self.clients.sessions.len() as Sid {
            let at = self.session(sid).at;
            if at.life == life {
                let wait = self.rng.below(within);
                self.queue.push(self.now + wait, Event::Thread(at, Job::Close(sid)));
            }
        }
    }
}
