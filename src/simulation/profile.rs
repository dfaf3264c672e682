//! What a schedule aims at.

use super::fault::Kind;
use super::plan::Plan;
use super::queue::{MILLI, SECOND};
use super::rng::Rng;
use super::store::Delay;

/// A profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A little of everything.
    Mix,
    /// Primaries that crash, come back empty, or live side by side.
    Failovers,
    /// Row writes that are slow or flicker, at the edges of the lease.
    Heartbeats,
    /// Roster reads that take long.
    SlowRoster,
    /// Publishes that get lost with their connection, and rings that overflow.
    LostPublishes,
    /// Nodes that cannot publish.
    PublisherCut,
    /// A slow store.
    SlowStore,
    /// Clients that reconnect all the time.
    Resumes,
    /// Rows that expire while somebody is stopped.
    Expiry,
    /// Everything, on nodes of three workers.
    Workers,
}

use Profile::{
    Expiry, Failovers, Heartbeats, LostPublishes, Mix, PublisherCut, Resumes, SlowRoster,
    SlowStore, Workers,
};

// What goes wrong, and how often each.

const EVERYTHING: &[(Kind, u64)] = &[
    (Kind::StopNode, 3),
    (Kind::StopThread, 3),
    (Kind::Kill, 2),
    (Kind::Join, 1),
    (Kind::Leave, 2),
    (Kind::StepClock, 3),
    (Kind::CutSubscriber, 2),
    (Kind::CutPublisher, 2),
    (Kind::Deafen, 2),
    (Kind::Crash, 2),
    (Kind::CrashInPipeline, 2),
    (Kind::Failover, 3),
    (Kind::Stall, 1),
    (Kind::LoseRows, 2),
    (Kind::Unreachable, 1),
    (Kind::RefuseClock, 1),
];

const FAILOVERS: &[(Kind, u64)] = &[
    (Kind::Failover, 6),
    (Kind::Crash, 2),
    (Kind::CrashInPipeline, 2),
    (Kind::CutSubscriber, 3),
    (Kind::CutPublisher, 3),
    (Kind::StopThread, 2),
    (Kind::Leave, 1),
    (Kind::LoseRows, 2),
];

const HEARTBEATS: &[(Kind, u64)] = &[
    (Kind::StopNode, 4),
    (Kind::StopThread, 4),
    (Kind::LoseRows, 6),
    (Kind::StepClock, 2),
    (Kind::Kill, 1),
    (Kind::Join, 1),
];

const SLOW_ROSTER: &[(Kind, u64)] = &[
    (Kind::StopNode, 2),
    (Kind::StopThread, 3),
    (Kind::LoseRows, 2),
    (Kind::StepClock, 3),
    (Kind::Join, 2),
    (Kind::Kill, 1),
];

const LOST_PUBLISHES: &[(Kind, u64)] = &[
    (Kind::CrashInPipeline, 5),
    (Kind::CutPublisher, 4),
    (Kind::Stall, 2),
    (Kind::Crash, 2),
    (Kind::StopThread, 2),
    (Kind::CutSubscriber, 1),
];

const PUBLISHER_CUT: &[(Kind, u64)] =
    &[(Kind::Unreachable, 5), (Kind::CutPublisher, 3), (Kind::StopThread, 2), (Kind::Failover, 2)];

const RESUMES: &[(Kind, u64)] = &[
    (Kind::Kill, 2),
    (Kind::CutSubscriber, 3),
    (Kind::Crash, 1),
    (Kind::StopThread, 3),
    (Kind::StopNode, 2),
    (Kind::StepClock, 2),
    (Kind::Leave, 1),
    (Kind::Failover, 1),
];

const EXPIRY: &[(Kind, u64)] = &[(Kind::StopNode, 2), (Kind::StopThread, 2), (Kind::Kill, 2)];

impl Profile {
    /// All.
    pub const ALL: [Self; 10] = [
        Mix,
        Failovers,
        Heartbeats,
        SlowRoster,
        LostPublishes,
        PublisherCut,
        SlowStore,
        Resumes,
        Expiry,
        Workers,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Mix => "mix",
            Failovers => "failovers",
            Heartbeats => "heartbeats",
            SlowRoster => "slow_roster",
            LostPublishes => "lost_publishes",
            PublisherCut => "publisher_cut",
            SlowStore => "slow_store",
            Resumes => "resumes",
            Expiry => "expiry",
            Workers => "workers",
        }
    }

    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Faults at most.
    pub const fn faults_max(self) -> u8 {
        match self {
            Mix | Workers => 7,
            Expiry => 3,
            _ => 5,
        }
    }

    const fn kinds(self) -> &'static [(Kind, u64)] {
        match self {
            Mix | SlowStore | Workers => EVERYTHING,
            Failovers => FAILOVERS,
            Heartbeats => HEARTBEATS,
            SlowRoster => SLOW_ROSTER,
            LostPublishes => LOST_PUBLISHES,
            PublisherCut => PUBLISHER_CUT,
            Resumes => RESUMES,
            Expiry => EXPIRY,
        }
    }

    /// Draws a kind of fault.
    pub fn draw_kind(self, rng: &mut Rng) -> Kind {
        let kinds = self.kinds();
        let mut left = rng.below(kinds.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in kinds {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        Kind::StopNode
    }

    /// Makes a plan aim at what the profile is for.
    pub fn shape(self, plan: &mut Plan, rng: &mut Rng) {
        match self {
            Mix | Failovers | PublisherCut => {}
            Heartbeats => {
                plan.slow.rows.delay = Delay { usual: 3 * MILLI, slow_in: 300, slow: 9 * SECOND };
                plan.slow.rows.lost_in = 250;
            }
            SlowRoster => {
                plan.slow.roster = Delay { usual: SECOND, slow_in: 400, slow: 17 * SECOND };
            }
            LostPublishes => {
                plan.bounds.ring = 1 + rng.below(3) as usize;
                plan.slow.bus = Delay { usual: 200 * MILLI, slow_in: 200, slow: 3 * SECOND };
            }
            SlowStore => {
                let slow = Delay { usual: SECOND, slow_in: 300, slow: 7 * SECOND };
                (plan.slow.messages.delay, plan.slow.reads) = (slow, slow);
                plan.slow.rows.delay = Delay { usual: SECOND, slow_in: 100, slow: 4 * SECOND };
            }
            Resumes => {
                plan.size.acts = 30 + rng.below(40) as u8;
                plan.slow.reads = Delay { usual: SECOND, slow_in: 200, slow: 6 * SECOND };
                plan.slow.confirms = Delay { usual: 500 * MILLI, slow_in: 300, slow: 5 * SECOND };
                plan.bounds.linger = [0, 200][rng.below(2) as usize];
                plan.bounds.commands = 1 + rng.below(2) as usize;
            }
            Expiry => {
                plan.size.active = 130 * SECOND;
                plan.bounds.row_ttl = 62 * SECOND + rng.below(5 * SECOND);
            }
            Workers => plan.size.workers = 3,
        }
    }
}
