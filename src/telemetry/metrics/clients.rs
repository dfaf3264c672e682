//! Metrics of what clients do, and of what they are refused.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::client_programs::ClientPrograms;
use super::durations::DurationHistogram;
use super::registration::{Label, metrics};
use crate::telemetry::Dropped;

/// The outcome of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendOutcome {
    /// Stored and acknowledged.
    Sent,
    /// It may have been stored.
    Unknown,
    /// Not stored.
    Unavailable,
    /// Refused because of its content.
    Refused,
}

/// What the limits decided on a send, an event or a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limited {
    /// It was allowed.
    Allowed,
    /// It was refused.
    Refused,
    /// It was refused since an earlier one was, whose waiting time is not over.
    Cached,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabels {
    code: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkerLabels {
    worker: u32,
}

/// What one worker shows of itself, looked up once.
#[derive(Debug)]
pub struct WorkerGauges {
    /// Its sessions.
    pub sessions: Gauge,
    /// Reads of resumes that wait for their turn.
    pub waiting_reads: Gauge,
    /// How much later than asked its event loop runs a timer.
    pub loop_lag: DurationHistogram,
}

metrics! {
    /// Connections that the listeners accept, and what the HTTP API answers on them.
    pub struct ListenerMetrics {
        /// Open connections of clients.
        pub connections: Gauge = named("connections");
        /// Connections without a token that were dropped since places were taken.
        dropped: [Counter; Dropped::ALL.len()] =
            labelled("connections_dropped", "reason", Dropped::ALL.map(Dropped::name));
        /// Connections above an address's bound.
        pub refused_addresses: Counter = named("addresses_refused");
        /// Connections of balancers without a good PROXY header.
        pub refused_proxy_headers: Counter = named("proxy_headers_refused");
        /// Failures to accept a connection.
        pub accept_errors: Counter = named("accept_errors");
        /// Answers of the HTTP API.
        http_answers: [Counter; 3] = labelled("http_answers", "class", ["2xx", "4xx", "5xx"]);
    }

    /// Sessions, and the frames on their connections.
    pub struct SessionMetrics {
        /// Sessions after their hello.
        pub open: Gauge = named("sessions");
        /// Sessions by the client program that their hello named: 32 by name, the rest as other.
        pub programs: ClientPrograms = by_program("client_programs");
        /// Sessions closed by the server, by code.
        closes: Family<CloseLabels, Counter> = named("closes");
        /// Frames of clients.
        pub client_frames: Counter = named("client_frames");
        /// Frames delivered to sessions.
        pub deliveries: Counter = named("deliveries");
        /// Events not delivered to slow sessions.
        pub shed_events: Counter = named("events_shed");
        /// Bytes that wait for slow clients.
        pub outbox_bytes: Gauge = named("outbox_bytes");
        /// Sessions of a worker.
        by_worker: Family<WorkerLabels, Gauge> = named("worker_sessions");
        /// Reads of a worker's resumes that wait for their turn.
        waiting_reads: Family<WorkerLabels, Gauge> = named("worker_reads_waiting");
        /// Seconds by which a worker's event loop runs a timer late.
        loop_lag: Family<WorkerLabels, DurationHistogram> = named("worker_lag_seconds");
    }

    /// Sends of messages.
    pub struct SendMetrics {
        /// Sends of messages.
        outcomes: [Counter; 4] =
            labelled("sends", "outcome", ["sent", "unknown", "unavailable", "refused"]);
        /// Seconds from a send's id to its acknowledgement by the store.
        pub append_seconds: DurationHistogram = named("store_append_seconds");
        /// Messages published after their sends had an unknown outcome.
        pub published_late: Counter = named("published_late");
    }

    /// What the limits decide.
    pub struct LimitMetrics {
        /// Limit decisions.
        decisions: [Counter; 3] =
            labelled("limit_decisions", "outcome", ["allowed", "refused", "cached"]);
        /// Refusals by the policy that refused, those of earlier refusals included.
        refusals: Family<Label, Counter> = named("limit_refusals");
        /// Sends decided by this node alone.
        pub unshared: Counter = named("limiter_unshared");
        /// Frames that were held back until they could start.
        pub held_frames: Counter = named("frames_held");
        /// Frames of connections above their rates.
        pub refused_frames: Counter = named("frames_refused");
    }
}

impl ListenerMetrics {
    /// Counts a connection that was dropped.
    pub fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].inc();
    }

    /// Connections that were dropped for one reason so far.
    pub fn dropped_so_far(&self, why: Dropped) -> u64 {
        self.dropped[why as usize].get()
    }

    /// Counts an answer of the HTTP API by the class of its status.
    pub fn http_answer(&self, status: u16) {
        let class = match status {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        self.http_answers[class].inc();
    }
}

impl SessionMetrics {
    /// Returns what a worker shows of itself.
    pub fn of_worker(&self, worker: u32) -> WorkerGauges {
        let label = WorkerLabels { worker };
        WorkerGauges {
            sessions: self.by_worker.get_or_create_owned(&label),
            waiting_reads: self.waiting_reads.get_or_create_owned(&label),
            loop_lag: self.loop_lag.get_or_create_owned(&label),
        }
    }

    /// Counts a session that the server closed.
    pub fn closes(&self, code: u16) {
        self.closes.get_or_create(&CloseLabels { code: code.into() }).inc();
    }
}

impl SendMetrics {
    /// Counts a send.
    pub fn count(&self, outcome: SendOutcome) {
        self.outcomes[outcome as usize].inc();
    }
}

impl LimitMetrics {
    /// Counts a decision.
    pub fn count(&self, decision: Limited) {
        self.decisions[decision as usize].inc();
    }

    /// Counts a refusal by its policy.
    pub fn refused(&self, policy: &'static str) {
        self.refusals.get_or_create(&[("policy", policy)]).inc();
    }

    /// Decisions of one kind so far.
    pub fn count_so_far(&self, decision: Limited) -> u64 {
        self.decisions[decision as usize].get()
    }
}
