//! Threads of nodes: each does one thing at a time, and may be stopped between any two steps of it.

use std::collections::VecDeque;

use super::event::{At, Event, Job, Msg, Sid};
use super::queue::Time;
use super::world::World;

/// A part of a job before which a thread may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadStep {
    /// Loop: issue a heartbeat, whose lease is counted already, to the store.
    IssueRow(u16),
    /// Loop: give the lease of an acknowledgement to the workers.
    Grant,
    /// Loop: finish the node after its last heartbeat is written.
    Leave,
    /// Loop: issue a read of the cluster table, which has begun, to the store.
    IssueRoster,
    /// Loop: carry out the orders of the watch.
    Orders,
    /// Worker: take the next item of the queue.
    Next,
    /// Worker: issue an entered message to the store.
    Write(Msg),
    /// Worker: decide about an acknowledged message, by the clocks now.
    Judge(Msg),
    /// Worker: append a message that passed to the shard connections, and deliver it to local
    /// sessions.
    Append(Msg),
    /// Worker: flush the shard connections.
    Flush,
    /// Worker: send `sent` to the sender.
    Reply(Msg),
    /// Worker: wait for the clock before the answer of an add.
    AwaitPassing(Msg),
    /// Worker: issue a session's read, which has begun, to the store: of memberships first.
    IssueMemberships(Sid),
    /// Worker: issue a read for a room that a user joined, which has begun, to the store.
    IssueJoinRead(u8, u16),
    /// Worker: issue the read of what it may have missed.
    IssueRead(Sid),
    /// Worker: issue its next page.
    IssuePage(Sid),
}

/// A thread.
#[derive(Debug, Default)]
pub struct Thread {
    /// It does nothing until then.
    until: Time,
    /// When its present job began.
    began: Time,
    stopped: bool,
    busy: bool,
    steps: VecDeque<ThreadStep>,
    waiting: VecDeque<Job>,
    /// In scripts: it is to be stopped before this step.
    pub trap: Option<ThreadStep>,
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

    /// Gives a thread a job: it begins at once if the thread is free, else after its other jobs.
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

    /// When a thread's present job began: it may have been stopped since.
    pub fn began(&self, at: At) -> Time {
        self.nodes[usize::from(at.life.node)].threads[usize::from(at.thread)].began
    }

    /// Adds a step to a thread's present job.
    pub fn then(&mut self, at: At, step: ThreadStep) {
        if let Some(thread) = self.thread(at) {
            thread.steps.push_back(step);
        }
    }

    /// Adds a step before those of a thread's present job.
    pub fn first(&mut self, at: At, step: ThreadStep) {
        if let Some(thread) = self.thread(at) {
            thread.steps.push_front(step);
        }
    }

    /// Runs a thread until it is stopped or has nothing to do.
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

    /// Whether a thread stops before a step: as a script states, or by chance.
    fn stops_here(&mut self, at: At, step: ThreadStep) -> bool {
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

    /// Stops a thread for a while.
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

    /// Lets a stopped thread go on, if it is time.
    pub fn wake(&mut self, at: At) {
        let now = self.now;
        if self.thread(at).is_some_and(|thread| thread.stopped && thread.until <= now) {
            self.release(at);
        }
    }

    /// Lets a thread go on, even one that a script stopped.
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
        // A loop that wakes may handle its timers first, or what has come meanwhile.
        let timers_last = self.controls.script.is_some() || self.rng.chance(500);
        if let Some(thread) = self.thread(at).filter(|_| timers_last) {
            thread.waiting.make_contiguous().sort_by_key(Job::is_timer);
        }
        if self.thread(at).is_some_and(|thread| !thread.busy) {
            self.go_on(at);
        }
    }
}
