//! The inputs of a node.

use std::sync::Arc;

use crate::auth::{TokenKey, TokenRules, Verifier};
use crate::bus::Bus;
use crate::clock::MachineClock;
use crate::config::{AuthConfig, Config, CreatePolicy, DirectPolicy, LayoutConfig};
use crate::hub::{PatternBudget, SessionBounds};
use crate::layout::{BucketCount, BucketCounts, Layout, Layouts};
use crate::limiter::FrameRates;
use crate::protocol::{ReadyLimits, RequestBounds};
use crate::recovery::ReadRates;
use crate::services::{Direct, NodeLimits, ResumeBounds, Waits};
use crate::session::ContextBounds;
use crate::shards::LinkBounds;
use crate::socket::{Budget, FrameLimits};
use crate::store::Store;
use crate::worker_call::{WorkerCallBounds, worker_call_wait};

/// The shard of a layout without Redis: the memory of this process.
const MEMORY_SHARD: &str = "memory";

/// The inputs of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The configuration.
    pub config: Arc<Config>,
    /// The bus that carries publishes.
    pub bus: Arc<dyn Bus>,
    /// Where messages live.
    pub store: Arc<dyn Store>,
    /// The machine's wall clock.
    pub machine: MachineClock,
}

impl NodeOptions {
    pub(super) fn layouts(&self) -> Layouts {
        layouts(&self.config)
    }

    pub(super) fn verifier(&self) -> Verifier {
        let auth = &self.config.auth;
        let rules = TokenRules {
            audience: auth.audience.clone(),
            issuer: auth.issuer.clone(),
            leeway: auth.leeway,
            max_life: auth.max_life,
        };
        Verifier::new(&token_keys(auth), rules)
    }

    pub(super) fn node_limits(&self) -> NodeLimits {
        let limits = &self.config.limits;
        NodeLimits {
            direct: self.direct(),
            users_create: self.users_create(),
            places_by_adder: limits.places_by_adder,
            bounds: self.frame_bounds(),
            history_bytes: limits.history_bytes,
            ready_limits: self.ready_limits(),
            session_bounds: self.session_bounds(),
            patterns: self.pattern_budget(),
            budget: Arc::new(Budget::new(limits.node_outbox_bytes, self.config.workers)),
            waits: self.waits(),
            resume: self.resume_bounds(),
        }
    }

    fn users_create(&self) -> bool {
        self.config.policy.create == CreatePolicy::Anyone
    }

    fn direct(&self) -> Direct {
        match self.config.policy.direct {
            DirectPolicy::Anyone => Direct::Anyone,
            DirectPolicy::Service => Direct::Service,
        }
    }

    fn frame_bounds(&self) -> RequestBounds {
        let limits = &self.config.limits;
        RequestBounds {
            body_bytes: limits.body_bytes,
            data_bytes: limits.data_bytes,
            json_depth: limits.json_depth,
            patterns: limits.patterns,
            history_messages: limits.history_messages,
        }
    }

    fn ready_limits(&self) -> ReadyLimits {
        let limits = &self.config.limits;
        ReadyLimits {
            frame_bytes: limits.frame_bytes,
            body_bytes: limits.body_bytes,
            patterns: limits.patterns,
            sends_in_flight: limits.sends_in_flight,
        }
    }

    fn session_bounds(&self) -> SessionBounds {
        let limits = &self.config.limits;
        SessionBounds {
            outbox_bytes: limits.outbox_bytes,
            sends_in_flight: limits.sends_in_flight,
            reads_in_flight: limits.reads_in_flight,
        }
    }

    fn pattern_budget(&self) -> Arc<PatternBudget> {
        let limits = &self.config.limits;
        Arc::new(PatternBudget::new(limits.pattern_bytes, limits.node_pattern_bytes))
    }

    fn waits(&self) -> Waits {
        let timeouts = &self.config.timeouts;
        Waits {
            subscribe: timeouts.subscribe,
            tap: timeouts.tap,
            interest: timeouts.interest,
            store: timeouts.store,
            ping: timeouts.ping,
            temporary_interest: self.config.interest.linger,
        }
    }

    pub(super) fn worker_call_bounds(&self) -> WorkerCallBounds {
        let Config { limits, timeouts, rates, .. } = &*self.config;
        WorkerCallBounds {
            requests: limits.requests_in_flight,
            user_requests: limits.user_requests_in_flight,
            wait: worker_call_wait(timeouts.store, rates.answer),
        }
    }

    pub(super) fn connection_bounds(&self) -> ContextBounds {
        let Config { limits, timeouts, rates, .. } = &*self.config;
        let frame_bytes = limits.frame_bytes as u32;
        let fragments = limits.fragments as u32;
        ContextBounds {
            frames: FrameLimits { frame_bytes, message_bytes: frame_bytes, fragments },
            rates: FrameRates::new(rates),
            sessions_per_user: limits.sessions_per_user_here,
            hello: timeouts.hello,
            write_stall: timeouts.write_stall,
            pong_grace: timeouts.pong_grace,
        }
    }

    fn resume_bounds(&self) -> ResumeBounds {
        let repair = &self.config.repair;
        ResumeBounds {
            conversation: repair.conversation_messages,
            messages: repair.resume_messages,
        }
    }

    /// Returns the node's read rates, divided among its workers.
    pub(super) fn read_rates(&self) -> ReadRates {
        let share = |per_second: u64| per_second as f64 / self.config.workers as f64;
        let Config { repair, audit, .. } = &*self.config;
        ReadRates {
            repairs: share(repair.reads_per_s),
            resumes: share(repair.resume_reads_per_s),
            audit: share(audit.reads_per_s),
        }
    }

    pub(super) fn link_bounds(&self) -> LinkBounds {
        let bus = &self.config.bus;
        LinkBounds {
            reply: bus.reply,
            ping: bus.ping,
            backoff_min: bus.backoff_min,
            backoff_max: bus.backoff_max,
            queue: bus.publish_queue,
            pending: self.config.repair.pending,
            batch: bus.batch,
        }
    }
}

/// Returns the layouts that a configuration publishes and subscribes by.
pub(super) fn layouts(config: &Config) -> Layouts {
    Layouts::new(layout(config.published()), config.subscribed().map(layout))
}

/// Returns the keys that sign tokens, in the configuration's order.
pub fn token_keys(auth: &AuthConfig) -> Vec<TokenKey> {
    auth.keys.iter().map(|key| TokenKey::hs256(&key.kid, key.secret.expose())).collect()
}

fn layout(config: &LayoutConfig) -> Layout {
    let count = |count: u32| {
        BucketCount::new(u64::from(count)).expect("a loaded configuration has powers of two")
    };
    let buckets = BucketCounts {
        user: count(config.buckets.user),
        room: count(config.buckets.room),
        topic: count(config.buckets.topic),
    };
    let mut shards: Vec<String> = config.shards.iter().map(|shard| shard.name.clone()).collect();
    if shards.is_empty() {
        shards.push(MEMORY_SHARD.to_owned());
    }
    Layout::new(buckets, shards)
}
