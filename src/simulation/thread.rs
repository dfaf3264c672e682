//! Threads of nodes: each does one thing at a time, and may be stopped between any two steps of it.

use std::collections::VecDeque;

use super::event::{At, Event, Job, Msg, Sid};
use super::queue::Time;
use super::world::World;

/// A part of a job before which a thread may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Loop: a row whose lease is counted already goes to the store.
    IssueRow(u16),
    /// Loop: the lease that an acknowledgement gives is told to the workers.
    Grant,
    /// Loop: the last row is written, and the node is done.
    Leave,
    /// Loop: a roster read that has begun goes to the store.
    IssueRoster,
    /// Loop: what the watch wants done.
    Orders,
    /// Worker: the next that stands in the queue.
    Next,
    /// Worker: an entered message goes to the store.
    Write(Msg),
    /// Worker: the acknowledgement is in hand, the clocks are to be read.
    Judge(Msg),
    /// Worker: what passed is appended to the links, and handed to local sessions.
    Append(Msg),
    /// Worker: the links are flushed.
    Flush,
    /// Worker: `sent` goes to the sender.
    Reply(Msg),
    /// Worker: the answer of an add waits for the clock.
    AwaitPassing(Msg),
    /// Worker: a session's read, which has begun, goes to the store: of memberships first.
    IssueMemberships(Sid),
    /// Worker: a read for a room that a user joined, which has begun, goes to the store.
    IssueJoinRead(u8, u16),
    /// Worker: of what it may have missed.
    IssueRead(Sid),
    /// Worker: its next page does.
    IssuePage(Sid),
}

/// A thread.
#[derive(Debug, Default)]
pub struct Thread {
    /// It does nothing until then.
    until: Time,
    /// When it began to do what it does.
    began: Time,
    stopped: bool,
    busy: bool,
    steps: VecDeque<Step>,
    waiting: VecDeque<Job>,
    /// Scripts: it is to be stopped before this step.
    pub trap: Option<Step>,
}

impl Thread {
    const fn is_free(&self) -> bool {
        !self.stopped && !self.busy
    }
}

impl World {
    fn thread(&mut self, at: At) -> Option<&mut Thread> {
        let node = &mut self.nodes[usize::from(at.life.node)];
        (node.alive && node.life == at.life).then(|| &mut node.threads[usize::from(at.thread)])
    }

    /// Gives a thread something to do: at once if it is free, else behind what it has to do.
    pub fn post(&mut self, at: At, job: Job) {
        let now = self.now;
        let Some(thread) = self.thread(at) else { return };
        if !thread.is_free() {
            thread.waiting.push_back(job);
            return;
        }
        thread.busy = true;
        thread.began = now;
        self.perform(at, job);
        self.go_on(at);
    }

    /// When a thread began to do what it does: it may have been stopped since.
    pub fn began(&self, at: At) -> Time {
        self.nodes[usize::from(at.life.node)].threads[usize::from(at.thread)].began
    }

    /// Adds a step to what a thread is doing.
    pub fn then(&mut self, at: At, step: Step) {
        if let Some(thread) = self.thread(at) {
            thread.steps.push_back(step);
        }
    }

    /// Adds a step before those that a thread has to do.
    pub fn first(&mut self, at: At, step: Step) {
        if let Some(thread) = self.thread(at) {
            thread.steps.push_front(step);
        }
    }

    /// A thread does what it has to do, until it is stopped or has done it.
    fn go_on(&mut self, at: At) {
        loop {
            let Some(thread) = self.thread(at) else { return };
            if thread.stopped {
                thread.busy = false;
                return;
            }
            thread.busy = true;
            if let Some(step) = thread.steps.pop_front() {
                if self.stops_here(at, step) {
                    self.first(at, step);
                } else {
                    self.take(at, step);
                }
            } else if let Some(job) = thread.waiting.pop_front() {
                self.perform(at, job);
            } else {
                thread.busy = false;
                return;
            }
        }
    }

    /// Whether a thread stops before a step: as a script says, or by chance.
    fn stops_here(&mut self, at: At, step: Step) -> bool {
        if let Some(thread) = self.thread(at)
            && thread.trap == Some(step)
        {
            thread.trap = None;
            self.stop(at, Time::MAX);
            return true;
        }
        let stops = self.rng.rarely(self.plan.slow.stops_in);
        if stops {
            let span = 1 + self.rng.below(self.plan.slow.stop);
            trace!(self, "{at:?} stops before {step:?} for {span}");
            self.stop(at, span);
        }
        stops
    }

    /// A thread stands still for a while.
    pub fn stop(&mut self, at: At, span: Time) {
        let now = self.now;
        let Some(thread) = self.thread(at) else { return };
        thread.stopped = true;
        thread.until = thread.until.max(now.saturating_add(span));
        let until = thread.until;
        if until < Time::MAX {
            self.queue.push(until, Event::Wake(at));
        }
    }

    /// A thread that was stopped goes on, if it is time.
    pub fn wake(&mut self, at: At) {
        let now = self.now;
        if self.thread(at).is_some_and(|thread| thread.stopped && thread.until <= now) {
            self.release(at);
        }
    }

    /// A thread goes on, whatever stopped it.
    pub fn release(&mut self, at: At) {
        let now = self.now;
        let Some(thread) = self.thread(at) else { return };
        if !std::mem::take(&mut thread.stopped) {
            return;
        }
        thread.until = 0;
        if thread.steps.is_empty() {
            thread.began = now;
        }
        // A loop that wakes may look at its timers first or at what has come meanwhile.
        let timers_last = self.script.is_some() || self.rng.chance(500);
        if let Some(thread) = self.thread(at).filter(|_| timers_last) {
            thread.waiting.make_contiguous().sort_by_key(Job::is_timer);
        }
        if self.thread(at).is_some_and(|thread| !thread.busy) {
            self.go_on(at);
        }
    }
}
