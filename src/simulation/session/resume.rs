//! The reads for a session: its interest first, then its user's memberships, then what it may have
//! missed, and its cursor after that.

use super::{Phase, SimSession};
use crate::domain::NEVER;
use crate::interest::{SubscriptionState, WaiterId};
use crate::simulation::event::{At, Event, Job, Sid, SimKey};
use crate::simulation::mutations::Mutation;
use crate::simulation::queue::{SECOND, Time};
use crate::simulation::store::{Looks, Messages};
use crate::simulation::subscriber::bucket;
use crate::simulation::thread::ThreadStep;
use crate::simulation::user_rooms::Load;
use crate::simulation::world::World;
use crate::watermark::CatchUpRead;

/// How long a session waits for its interest to be confirmed.
const CONFIRM_WAIT: Time = SECOND;

/// How long it waits for the confirmation of its rooms.
const ROOMS_WAIT: Time = SECOND;

impl World {
    /// Handles the hello of a session: its interest first.
    pub fn hello(&mut self, at: At, sid: Sid) {
        let node = &self.nodes[usize::from(at.life.node)];
        let SimSession { user, phase, .. } = *self.session_ref(sid);
        if node.draining || node.faults.refused || phase == Phase::Closed {
            return self.refuse_session(sid);
        }
        if self.makes(Mutation::MembershipsFirst) {
            let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
            let touch = self.draw_touch(self.now, end);
            self.session(sid).catch_up.memberships = Some((touch, self.now));
        }
        self.join_worker(at, sid);
        let index = self.bucket_of(user);
        let shard = self.shard_of(index);
        let send_id = WaiterId(u64::from(sid));
        let machine = &mut self.hearing(at.life, shard).machine;
        if machine.confirmation(bucket(index), send_id, |_| true) == SubscriptionState::Confirmed {
            self.register(at, sid, true);
        } else {
            self.queue.push(self.now + CONFIRM_WAIT, Event::Thread(at, Job::ConfirmTimeout(sid)));
        }
    }

    /// Adds a session to a worker, whose interest in its key it shares.
    pub fn join_worker(&mut self, at: At, sid: Sid) {
        let user = self.session(sid).user;
        self.worker(at).sessions.push(sid);
        self.join_belonging(at, user);
        self.take_interest(at, user);
    }

    /// Adds one holder of interest in a key.
    pub fn take_interest(&mut self, at: At, key: SimKey) {
        let index = self.bucket_of(key);
        let shard = self.shard_of(index);
        let it = self.worker(at);
        it.holds[usize::from(key)] += 1;
        if it.holds[usize::from(key)] == 1 {
            self.nodes[usize::from(at.life.node)].interest.wants[usize::from(key)] |=
                1 << (at.thread - 1);
            self.hearing(at.life, shard).machine.acquire(bucket(index));
            let owner = crate::simulation::node::owner_of(at.life, shard, self.plan.size.workers);
            self.post(owner, Job::Command(shard));
        }
    }

    /// Handles that a session's interest is confirmed.
    pub fn confirmed(&mut self, at: At, sid: Sid) {
        match self.session(sid).phase {
            Phase::Joining => self.register(at, sid, true),
            Phase::Live => self.read_anew(at, sid),
            _ => {}
        }
    }

    /// Stops waiting for a session's interest.
    pub fn confirm_timed_out(&mut self, at: At, sid: Sid) {
        if self.session(sid).phase == Phase::Joining {
            self.register(at, sid, false);
        }
    }

    /// Registers a session for live delivery, and begins to read for it.
    fn register(&mut self, at: At, sid: Sid, confirmed: bool) {
        let place = self.worker(at).recent.place();
        let late = self.makes(Mutation::LiveAfterReads);
        let session = self.session(sid);
        session.phase = if late { Phase::Missing } else { Phase::Live };
        (session.place, session.catch_up.buffering, session.catch_up.buffer) = (place, true, 0);
        self.begin_read(at, sid, confirmed);
    }

    fn begin_read(&mut self, at: At, sid: Sid, confirmed: bool) {
        let watermark = self.worker(at).watermark;
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        let viewed = self.viewed(at.life);
        let session = self.session(sid);
        session.catch_up.reading = Some(CatchUpRead::begin(wall, viewed, confirmed));
        session.catch_up.read_no += 1;
        session.catch_up.above = session.position.above(watermark);
        trace!(
            self,
            "{at:?} session {sid} reads above {} ({confirmed})",
            self.session(sid).catch_up.above
        );
        let has_rooms = self.plan.size.rooms > 0;
        self.then(
            at,
            if has_rooms { ThreadStep::IssueMemberships(sid) } else { ThreadStep::IssueRead(sid) },
        );
    }

    /// Where a session's user stands with rooms is asked of the store, unless it is already: then
    /// the session waits for that read, and claims what that may.
    pub fn issue_memberships(&mut self, at: At, sid: Sid) {
        let user = self.session_ref(sid).user;
        let loading = self.user_rooms(at, user).and_then(|it| it.loading);
        match loading.filter(|load| self.plan.shared_reads && load.leader != sid) {
            Some(load) => self.share_load(at, sid, load),
            None => self.begin_load(at, sid),
        }
    }

    fn share_load(&mut self, at: At, sid: Sid, load: Load) {
        let fresh = self.makes(Mutation::SharedReadFresh);
        let end = load.end.max(self.now);
        let session = self.session(sid);
        session.catch_up.memberships = Some((load.touch, load.begun));
        if !fresh {
            session.catch_up.reading = Some(load.reading);
        }
        let job = Job::Memberships(sid, session.catch_up.read_no, load.works);
        trace!(self, "session {sid} shares the read of {}", load.begun);
        self.queue.push(end, Event::Thread(at, job));
    }

    fn begin_load(&mut self, at: At, sid: Sid) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let touch = self.draw_touch(self.now, end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        let now = self.now;
        let session = self.session(sid);
        let (touch, begun) = session.catch_up.memberships.take().unwrap_or((touch, now));
        session.catch_up.memberships = Some((touch, begun));
        let (user, reading) = (session.user, session.catch_up.reading);
        let job = Job::Memberships(sid, session.catch_up.read_no, works);
        self.queue.push(end, Event::Thread(at, job));
        if let Some(it) = self.user_rooms(at, user) {
            let load = |reading| Load { leader: sid, reading, touch, begun, end, works };
            it.loading = reading.map(load);
        }
    }

    /// A session that others share a read with waits no longer: they did, or read for themselves.
    pub(super) fn end_load(&mut self, at: At, sid: Sid) {
        let user = self.session_ref(sid).user;
        if let Some(it) = self.user_rooms(at, user) {
            it.loading.take_if(|load| load.leader == sid);
        }
    }

    /// Handles its result: the user's rooms must be subscribed.
    pub fn memberships_read(&mut self, at: At, sid: Sid, read_no: u16, works: bool) {
        let session = self.session(sid);
        if session.phase == Phase::Closed || session.catch_up.read_no != read_no {
            return self.end_load(at, sid);
        }
        let Some((touch, begun)) = session.catch_up.memberships.take().filter(|_| works) else {
            self.end_load(at, sid);
            return self.read_failed(at, sid);
        };
        let user = session.user;
        let rows = self.membership_rows(user, &touch);
        if !self.makes(Mutation::MembershipsFirst) {
            self.knows_leaves(at, user, begun);
        }
        self.learn_all(at, user, &rows);
        self.load(at, user);
        let rooms = self.rooms_of(at, user);
        let awaited = rooms.into_iter().filter(|room| self.awaits_room(at, user, *room)).count();
        if awaited == 0 {
            return self.go_on_with_rooms(at, sid);
        }
        self.session(sid).catch_up.awaits_rooms = Some(read_no);
        let job = Job::RoomsTimeout(sid, read_no);
        self.queue.push(self.now + ROOMS_WAIT, Event::Thread(at, job));
    }

    /// Handles that one more room of a session's user is confirmed.
    pub fn go_on_if_heard(&mut self, at: At, sid: Sid) {
        let user = self.session(sid).user;
        if self.session(sid).catch_up.awaits_rooms.is_some() && self.are_heard(at, user) {
            self.go_on_with_rooms(at, sid);
        }
    }

    /// Stops waiting for the rooms of a session.
    pub fn rooms_timed_out(&mut self, at: At, sid: Sid, read_no: u16) {
        let session = self.session(sid);
        if session.phase != Phase::Closed && session.catch_up.awaits_rooms == Some(read_no) {
            self.go_on_with_rooms(at, sid);
        }
    }

    fn go_on_with_rooms(&mut self, at: At, sid: Sid) {
        let heard = self.are_heard(at, self.session_ref(sid).user);
        let session = self.session(sid);
        session.catch_up.awaits_rooms = None;
        if !heard {
            session.catch_up.reading = session.catch_up.reading.map(CatchUpRead::unconfirmed);
        }
        self.end_load(at, sid);
        self.then(at, ThreadStep::IssueRead(sid));
    }

    /// Issues a session's read to the store.
    pub fn issue_read(&mut self, at: At, sid: Sid) {
        let user = self.session(sid).user;
        let (looks, end, works) = self.draw_looks(user);
        let session = self.session(sid);
        let looks = looks.above(session.catch_up.above);
        let above = session.catch_up.above;
        self.parts(at, sid, looks, above);
        let session = self.session(sid);
        let job = Job::Read(sid, session.catch_up.read_no, works);
        self.queue.push(end, Event::Thread(at, job));
    }

    /// Draws a read of a key's messages: what it touches, when it ends, and whether it succeeds.
    pub fn draw_looks(&mut self, key: SimKey) -> (Looks, Time, bool) {
        let middle = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let end = middle + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let activity = self.draw_touch(self.now, middle);
        let ranges = self.draw_touch(middle, end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        let looks = Looks { activity, ranges, since: NEVER, above: NEVER, key, heads_known: false };
        (looks, end, works)
    }

    /// Handles the end of a session's read.
    pub fn session_read(&mut self, at: At, sid: Sid, read_no: u16, works: bool) {
        let session = self.session(sid);
        if session.phase == Phase::Closed || session.catch_up.read_no != read_no {
            return;
        }
        if !works {
            return self.read_failed(at, sid);
        }
        let pages = std::mem::take(&mut session.catch_up.pages);
        let heads = std::mem::take(&mut session.catch_up.heads);
        for head in heads {
            self.learn_head(at, head, &pages[0]);
        }
        let mut found = 0;
        for looks in pages {
            let (page, last) = self.first_page(self.found(&looks));
            found |= page;
            if let Some(above) = last {
                self.session(sid).catch_up.pages.push(Looks { above, ..looks });
            }
        }
        if self.session(sid).catch_up.pages.is_empty() {
            self.hand_over(at, sid, found);
            return self.conclude_read(at, sid);
        }
        self.hand_page(at, sid, found);
        self.then(at, ThreadStep::IssuePage(sid));
    }

    /// Issues the next page of a session's read to the store.
    pub fn issue_page(&mut self, at: At, sid: Sid) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let ranges = self.draw_touch(self.now, end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        let session = self.session(sid);
        session.catch_up.pages.iter_mut().for_each(|looks| looks.ranges = ranges);
        let job = Job::Read(sid, session.catch_up.read_no, works);
        self.queue.push(end, Event::Thread(at, job));
    }

    fn read_failed(&mut self, at: At, sid: Sid) {
        self.session(sid).catch_up.reading = None;
        let again = self.now + self.rng.below(SECOND);
        self.queue.push(again, Event::Thread(at, Job::ReadAgain(sid)));
    }

    /// Begins a session's failed read again.
    pub fn read_again(&mut self, at: At, sid: Sid) {
        let SimSession { phase, user, .. } = *self.session_ref(sid);
        if phase != Phase::Closed && self.session(sid).catch_up.reading.is_none() {
            let confirmed = self.is_confirmed(at.life, user);
            self.begin_read(at, sid, confirmed);
        }
    }

    fn hand_over(&mut self, at: At, sid: Sid, found: Messages) {
        let session = self.session(sid);
        let (buffering, buffer) =
            (session.catch_up.buffering, session.catch_up.buffer | session.catch_up.aside);
        (session.catch_up.buffer, session.catch_up.aside) = (0, 0);
        let fresh = self.his_among(at, sid, found) & !self.session(sid).own;
        let gaps = if buffering { self.too_many(fresh) } else { 0 };
        self.session(sid).link.gaps |= gaps;
        self.hand_page(at, sid, found & !gaps);
        self.each_message(buffer, |world, message| world.deliver_own(sid, message));
        if self.makes(Mutation::LiveAfterReads) && self.session(sid).missed == 0 {
            let place = self.worker(at).recent.place();
            let session = self.session(sid);
            (session.phase, session.place) = (Phase::Live, place);
        }
    }

    fn hand_page(&mut self, at: At, sid: Sid, found: Messages) {
        let buffering = self.session(sid).catch_up.buffering;
        self.each_message(found, |world, message| {
            if buffering || !world.had(at, sid, message) {
                world.deliver_own(sid, message);
            }
        });
    }

    /// The messages of a set that are owed to a session's user by now.
    fn his_among(&mut self, at: At, sid: Sid, found: Messages) -> Messages {
        let user = self.session(sid).user;
        let mut owed = 0;
        self.each_message(found, |world, message| {
            if world.may_be_handed(at, user, message) {
                owed |= crate::simulation::store::one(message);
            }
        });
        owed
    }

    /// Ends a session's read. What it found is in the session's queue, and its cursor follows.
    fn conclude_read(&mut self, at: At, sid: Sid) {
        let watermark = self.worker(at).watermark;
        let mut viewed = self.viewed(at.life);
        let session = self.session(sid);
        let Some(reading) = session.catch_up.reading.take() else { return };
        if session.phase == Phase::Missing {
            // It counts as having a delivery gap: it did not receive what came meanwhile.
            viewed.gaps = u64::MAX;
        }
        let cursor = session.position.read(reading, viewed, watermark);
        session.catch_up.buffering = false;
        trace!(self, "session {sid} read: {cursor:?} {:?}", self.session(sid).position);
        self.send_cursor(sid, cursor);
        if self.session(sid).phase == Phase::Missing {
            let confirmed = self.is_confirmed(at.life, self.session_ref(sid).user);
            self.register(at, sid, confirmed);
        }
    }

    /// Reads for a live session that does not share the watermark though nothing is frozen.
    fn read_anew(&mut self, at: At, sid: Sid) {
        let frozen = self.viewed(at.life).frozen;
        let SimSession { user, phase, .. } = *self.session_ref(sid);
        let session = self.session(sid);
        let idle = session.catch_up.reading.is_none() && session.position.is_told();
        if phase == Phase::Live
            && idle
            && !session.position.is_shared()
            && !frozen
            && self.is_confirmed(at.life, user)
            && self.are_heard(at, user)
        {
            self.begin_read(at, sid, true);
        }
    }

    /// Handles the passing of a second.
    pub fn tick_session(&mut self, sid: Sid) {
        let at = self.session(sid).at;
        self.read_anew(at, sid);
    }
}
