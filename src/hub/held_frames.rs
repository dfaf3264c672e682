//! Frames of a session that are held back until they may start.
//!
//! A lane keeps the order of its frames, and waits for no other lane. A session that holds nothing
//! back and refuses nothing has two pointers here.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Session;
use crate::config::SessionBounds;
use crate::limiter::{RateLimited, UserRate};

/// How long a frame may be held back. What would wait for longer is refused.
pub const HELD_MAX: Duration = Duration::from_secs(10);

/// What a held frame takes beside its text.
pub const HELD_FRAME_BYTES: usize = 64;

/// An op that is held back rather than refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOp {
    /// `send`
    Send,
    /// `publish`
    Publish,
    /// `signal`
    Signal,
    /// `mark_read`
    MarkRead,
    /// `history`
    History,
    /// `inbox`
    Inbox,
}

/// Ops that start in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What others receive: sends, events and signals.
    Writes,
    /// Read marks.
    Marks,
    /// Reads of history and inbox.
    Reads,
}

/// Which frames of a lane are refused because one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// New ones: the first that was refused stood behind all that are held.
    New,
    /// Held ones too: the first of them was refused.
    All,
}

/// A frame that is held back.
#[derive(Debug)]
pub struct HeldFrame {
    /// Its op.
    pub op: HeldOp,
    /// When it came, or when its user's rooms became known.
    pub since: Instant,
    /// Its text.
    pub text: Box<str>,
}

/// The frames of a session that are held back.
#[derive(Default)]
pub(super) struct HeldFrames {
    queue: Cell<Option<Box<HeldQueue>>>,
    pub(super) closed: Cell<Option<Box<ClosedLanes>>>,
    /// Whether the rooms of its user are known.
    loaded: Cell<bool>,
}

/// Which frames of each lane are refused, and until when.
pub(super) type ClosedLanes = [Option<(Closed, Instant)>; Lane::ALL.len()];

#[derive(Debug, Default)]
struct HeldQueue {
    lanes: [VecDeque<HeldFrame>; Lane::ALL.len()],
    frames: usize,
    bytes: usize,
    /// The latest refusal of a send that waits for its user's rate.
    delay: Option<RateLimited>,
    /// Notified when a frame may be able to start.
    wake: Rc<Notify>,
    is_served: bool,
}

impl HeldOp {
    /// Returns its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Publish => "publish",
            Self::Signal => "signal",
            Self::MarkRead => "mark_read",
            Self::History => "history",
            Self::Inbox => "inbox",
        }
    }

    /// Returns its lane.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Send | Self::Publish | Self::Signal => Lane::Writes,
            Self::MarkRead => Lane::Marks,
            Self::History | Self::Inbox => Lane::Reads,
        }
    }

    /// Returns the rate of its user that it counts for.
    pub const fn rate(self) -> UserRate {
        match self {
            Self::Send => UserRate::Sends,
            Self::Publish | Self::Signal | Self::MarkRead => UserRate::Events,
            Self::History | Self::Inbox => UserRate::Reads,
        }
    }

    /// Returns whether it depends on the rooms of its user.
    pub const fn needs_rooms(self) -> bool {
        !matches!(self, Self::Publish)
    }
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 3] = [Self::Writes, Self::Marks, Self::Reads];
}

impl HeldQueue {
    fn push(&mut self, frame: HeldFrame) {
        self.frames += 1;
        self.bytes += frame.text.len();
        self.lanes[frame.op.lane() as usize].push_back(frame);
    }

    fn count_out(&mut self, frames: &[HeldFrame]) {
        self.frames -= frames.len();
        self.bytes -= frames.iter().map(|frame| frame.text.len()).sum::<usize>();
    }

    /// The last frame may exceed the bound of bytes: its length is known once it was read.
    const fn is_full(&self, bounds: &SessionBounds) -> bool {
        self.frames >= bounds.held_frames || self.bytes >= bounds.held_bytes
    }

    const fn is_half_empty(&self, bounds: &SessionBounds) -> bool {
        self.frames <= bounds.held_frames / 2 && self.bytes <= bounds.held_bytes / 2
    }

    /// Takes the frames of a lane from the first on that would wait for too long, if the frame
    /// behind `ahead` others has to wait as `refused` says. Returns how long that first one would
    /// have waited.
    fn take_overdue(
        &mut self,
        lane: Lane,
        rate: UserRate,
        refused: &RateLimited,
        ahead: usize,
    ) -> Option<(Duration, Vec<HeldFrame>)> {
        let pause = Duration::from_secs(1) / refused.policy.per_s;
        let mut wait = refused.retry_after? + pause * ahead as u32;
        let queue = &mut self.lanes[lane as usize];
        let first = queue.iter().position(|frame| {
            let is_over = frame.op.rate() == rate && wait > HELD_MAX;
            wait += if frame.op.rate() == rate && !is_over { pause } else { Duration::ZERO };
            is_over
        })?;
        let overdue = Vec::from(queue.split_off(first));
        self.count_out(&overdue);
        Some((wait, overdue))
    }
}

impl fmt::Debug for HeldFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldFrames").field("loaded", &self.loaded).finish_non_exhaustive()
    }
}

impl HeldFrames {
    /// Lends the queue, if there is one.
    fn with<T>(&self, lend: impl FnOnce(&mut HeldQueue) -> T) -> Option<T> {
        let mut queue = self.queue.take()?;
        let result = lend(&mut queue);
        self.queue.set(Some(queue));
        Some(result)
    }

    /// Lends the queue, which is made if there is none.
    fn with_new<T>(&self, lend: impl FnOnce(&mut HeldQueue) -> T) -> T {
        let mut queue = self.queue.take().unwrap_or_default();
        let result = lend(&mut queue);
        self.queue.set(Some(queue));
        result
    }
}

impl Session {
    /// Returns whether the rooms of its user are known.
    pub const fn is_loaded(&self) -> bool {
        self.held.loaded.get()
    }

    /// Records that the rooms of its user are known. What was held back has waited for them, and
    /// its time begins now.
    pub fn load(&self) {
        self.held.loaded.set(true);
        let now = Instant::now();
        let restart = |frame: &mut HeldFrame| frame.since = now;
        self.held.with(|queue| queue.lanes.iter_mut().flatten().for_each(restart));
        self.wake_held();
    }

    /// Holds a frame back. Returns whether the caller has to begin to serve the queue.
    pub fn hold(&self, frame: HeldFrame) -> bool {
        self.held.with_new(|queue| {
            queue.push(frame);
            !std::mem::replace(&mut queue.is_served, true)
        })
    }

    /// Returns whether a frame of a lane is held back.
    pub fn is_holding(&self, lane: Lane) -> bool {
        self.first_held(lane).is_some()
    }

    /// Returns the op and the time of the first frame of a lane.
    pub fn first_held(&self, lane: Lane) -> Option<(HeldOp, Instant)> {
        let first = |queue: &mut HeldQueue| {
            queue.lanes[lane as usize].front().map(|frame| (frame.op, frame.since))
        };
        self.held.with(first).flatten()
    }

    /// Takes the first frame of a lane.
    pub fn take_first_held(&self, lane: Lane) -> Option<HeldFrame> {
        let take = |queue: &mut HeldQueue| {
            let frame = queue.lanes[lane as usize].pop_front()?;
            queue.count_out(std::slice::from_ref(&frame));
            Some(frame)
        };
        self.held.with(take).flatten()
    }

    /// Takes the frames of a lane that would wait for too long at a rate. `refused` is what the
    /// limiter said about the frame that is `ahead` places before the lane's first one. New frames
    /// of the lane are refused until the time that is returned with the frames.
    pub fn take_overdue(
        &self,
        lane: Lane,
        rate: UserRate,
        refused: &RateLimited,
        ahead: usize,
    ) -> Option<(Duration, Vec<HeldFrame>)> {
        let taken = self.held.with(|queue| queue.take_overdue(lane, rate, refused, ahead));
        let (wait, frames) = taken.flatten()?;
        self.close_lane(lane, Closed::New, wait);
        Some((wait, frames))
    }

    /// Takes all frames.
    pub fn take_all_held(&self) -> Vec<HeldFrame> {
        let take = |queue: &mut HeldQueue| {
            (queue.frames, queue.bytes) = (0, 0);
            queue.lanes.iter_mut().flat_map(std::mem::take).collect()
        };
        let frames = self.held.with(take).unwrap_or_default();
        self.wake_held();
        frames
    }

    /// Refuses frames of a lane for a time, because one before them was refused. No time makes no
    /// queue.
    pub fn close_lane(&self, lane: Lane, closed: Closed, wait: Duration) {
        if wait.is_zero() {
            return;
        }
        let mut lanes = self.held.closed.take().unwrap_or_default();
        lanes[lane as usize] = Some((closed, Instant::now() + wait));
        self.held.closed.set(Some(lanes));
    }

    /// Returns which frames of a lane are refused, and for how long.
    pub fn closed_for(&self, lane: Lane) -> Option<(Closed, Duration)> {
        let mut lanes = self.held.closed.take()?;
        let now = Instant::now();
        for closed in lanes.iter_mut() {
            *closed = closed.filter(|(_, until)| *until > now);
        }
        let of_lane = lanes[lane as usize];
        if lanes.iter().any(Option::is_some) {
            self.held.closed.set(Some(lanes));
        }
        of_lane.map(|(closed, until)| (closed, until - now))
    }

    /// Returns for how long the frames of a lane are refused that came before.
    pub fn held_closed_for(&self, lane: Lane) -> Option<Duration> {
        self.closed_for(lane).filter(|(closed, _)| *closed == Closed::All).map(|(_, left)| left)
    }

    /// Returns how long the session's first send is to wait for its user's rate, at most until a
    /// time. If that is not long enough, the send is refused, and so are those that follow.
    pub fn wait_for_rate(&self, refused: RateLimited, until: Instant) -> Option<Duration> {
        let wait = refused.retry_after?;
        if self.held_closed_for(Lane::Writes).is_some() {
            return None;
        }
        if Instant::now() + wait > until {
            self.close_lane(Lane::Writes, Closed::All, wait);
            return None;
        }
        self.held.with(|queue| queue.delay = Some(refused));
        self.wake_held();
        Some(wait)
    }

    /// Returns by which refusal the session's first send waits, once per refusal.
    pub fn take_delay(&self) -> Option<RateLimited> {
        self.held.with(|queue| queue.delay.take()).flatten()
    }

    /// Returns whether no further frame may be read.
    pub fn is_held_full(&self, bounds: &SessionBounds) -> bool {
        self.held.with(|queue| queue.is_full(bounds)).unwrap_or_default()
    }

    /// Returns whether so much is free that frames may be read again.
    pub fn has_held_room(&self, bounds: &SessionBounds) -> bool {
        self.held.with(|queue| queue.is_half_empty(bounds)).unwrap_or(true)
    }

    /// Looks again whether a frame may start.
    pub(super) fn wake_held(&self) {
        self.held.with(|queue| queue.wake.notify_one());
    }

    /// Returns what is notified when a frame may be able to start; none if the session has ended.
    pub fn held_wake(&self) -> Option<Rc<Notify>> {
        self.held.with(|queue| Rc::clone(&queue.wake))
    }

    /// Stops serving the queue if nothing is held back. Returns whether it stopped.
    pub fn stop_serving_held(&self) -> bool {
        let is_empty = self.held.with(|queue| {
            queue.is_served = queue.frames > 0;
            queue.frames == 0
        });
        if is_empty == Some(true) {
            self.held.queue.take();
        }
        is_empty.unwrap_or(true)
    }

    /// Drops what is held back, since the session has ended.
    pub(super) fn drop_held(&self) {
        if let Some(queue) = self.held.queue.take() {
            queue.wake.notify_one();
        }
    }
}
