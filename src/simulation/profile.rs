//! What a schedule aims at.

use super::exact;
use super::fault::FaultKind;
use super::focus;
use super::plan::SimOptions;
use super::queue::{MILLI, SECOND};
use super::rng::Rng;
use super::rooms;
use super::store::Delay;

/// Lists the profiles once. Their order is part of what a seed means.
macro_rules! profiles {
    ($($(#[$doc:meta])+ $profile:ident,)+) => {
        /// A profile.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Profile {
            $($(#[$doc])+ $profile,)+
        }

        impl Profile {
            /// All.
            pub const ALL: &[Self] = &[$(Self::$profile),+];
        }
    };
}

profiles! {
    /// A little of everything.
    Mix,
    /// Primaries that crash, come back empty, or live side by side.
    Failovers,
    /// Heartbeat writes that are slow or flicker, at the edges of the lease.
    Heartbeats,
    /// Reads of the cluster table that are slow.
    SlowRoster,
    /// Publishes that are lost with their connection, and rings that overflow.
    LostPublishes,
    /// Nodes that cannot publish.
    PublisherCut,
    /// A slow store.
    SlowStore,
    /// Clients that reconnect all the time.
    Resumes,
    /// Rows that expire while a node is stopped.
    Expiry,
    /// Everything, on nodes of three workers.
    Workers,
    /// A first heartbeat that is read and not acknowledged in time.
    Births,
    /// A loop that is stopped while its lease ends.
    Leases,
    /// Messages that are under way while the lease ends.
    Fences,
    /// A publisher that goes back to an old primary for a moment.
    Returners,
    /// A publisher that leaves an old primary while others repair.
    Leavers,
    /// A publisher that goes back to an old primary, and whose incarnation ends there.
    Departures,
    /// An incarnation that comes and goes while a node is stopped.
    Strangers,
    /// A row that expires between two reads.
    Vanishings,
    /// Clocks at their bounds, acknowledgements at theirs, and clients that reconnect then.
    Margins,
    /// Interest that is taken back and given again on a slow connection.
    Flappers,
    /// Resumes that take very long and hold little.
    Overflows,
    /// Wall clocks that step back by all they can.
    StepsBack,
    /// Right clocks, no delays, no faults.
    Steady,
    /// The same with a store whose operations take 0.5 to 2 s.
    SlowOperations,
    /// The same while all nodes are restarted cleanly, one after the other.
    RollingRestart,
    /// The same while a node is killed.
    OneKilled,
    /// The same while a node is stopped for 40 s.
    OneStopped,
    /// The same while a shard is away for 3 minutes.
    ShardDown,
    /// The same while all of Redis is away.
    RedisDown,
    /// The same while a node stays with a demoted primary.
    OldPrimary,
    /// The same while a node cannot reach Redis for 3 minutes.
    CutOff,
    /// The same while a node cannot publish for 2 minutes and the primary changes.
    PublisherAway,
    /// The same while a node is fenced again and again.
    Fencing,
    /// The same while a node is killed whose last heartbeat shows in some reads only.
    FlickeringDeath,
    /// A little of everything, with rooms.
    Rooms,
    /// The same with many users who join and leave.
    RoomsChurn,
    /// The same with clocks at their bounds, a slow store, and clients that reconnect.
    RoomsClocks,
    /// A user joins a room with many messages, and the read takes long.
    Joiners,
    /// A user is added and removed by two callers, whose notices overtake each other.
    Removals,
    /// A user joins while the user's session buffers little and is read for.
    JoinOverflows,
    /// A user is added by several callers at once, and removed, while services send after answers.
    Adders,
    /// The wide one with rooms whose heads are known, and clients that reconnect.
    RoomsHeads,
    /// The same with users of several devices, whose sessions share the reads of their memberships.
    RoomsShared,
}

use Profile::*;

// All faults, and how often each occurs.

const EVERYTHING: &[(FaultKind, u64)] = &[
    (FaultKind::StopNode, 3),
    (FaultKind::StopThread, 3),
    (FaultKind::Kill, 2),
    (FaultKind::Join, 1),
    (FaultKind::Leave, 2),
    (FaultKind::StepClock, 3),
    (FaultKind::CutSubscriber, 2),
    (FaultKind::CutPublisher, 2),
    (FaultKind::Deafen, 2),
    (FaultKind::Crash, 2),
    (FaultKind::CrashInPipeline, 2),
    (FaultKind::Failover, 3),
    (FaultKind::Stall, 1),
    (FaultKind::LoseRows, 2),
    (FaultKind::Unreachable, 1),
    (FaultKind::RefuseClock, 1),
];

const FAILOVERS: &[(FaultKind, u64)] = &[
    (FaultKind::Failover, 6),
    (FaultKind::Crash, 2),
    (FaultKind::CrashInPipeline, 2),
    (FaultKind::CutSubscriber, 3),
    (FaultKind::CutPublisher, 3),
    (FaultKind::StopThread, 2),
    (FaultKind::Leave, 1),
    (FaultKind::LoseRows, 2),
];

const HEARTBEATS: &[(FaultKind, u64)] = &[
    (FaultKind::StopNode, 4),
    (FaultKind::StopThread, 4),
    (FaultKind::LoseRows, 6),
    (FaultKind::StepClock, 2),
    (FaultKind::Kill, 1),
    (FaultKind::Join, 1),
];

const SLOW_ROSTER: &[(FaultKind, u64)] = &[
    (FaultKind::StopNode, 2),
    (FaultKind::StopThread, 3),
    (FaultKind::LoseRows, 2),
    (FaultKind::StepClock, 3),
    (FaultKind::Join, 2),
    (FaultKind::Kill, 1),
];

const LOST_PUBLISHES: &[(FaultKind, u64)] = &[
    (FaultKind::CrashInPipeline, 5),
    (FaultKind::CutPublisher, 4),
    (FaultKind::Stall, 2),
    (FaultKind::Crash, 2),
    (FaultKind::StopThread, 2),
    (FaultKind::CutSubscriber, 1),
];

const PUBLISHER_CUT: &[(FaultKind, u64)] = &[
    (FaultKind::Unreachable, 5),
    (FaultKind::CutPublisher, 3),
    (FaultKind::StopThread, 2),
    (FaultKind::Failover, 2),
];

const RESUMES: &[(FaultKind, u64)] = &[
    (FaultKind::Kill, 2),
    (FaultKind::CutSubscriber, 3),
    (FaultKind::Crash, 1),
    (FaultKind::StopThread, 3),
    (FaultKind::StopNode, 2),
    (FaultKind::StepClock, 2),
    (FaultKind::Leave, 1),
    (FaultKind::Failover, 1),
];

const EXPIRY: &[(FaultKind, u64)] =
    &[(FaultKind::StopNode, 2), (FaultKind::StopThread, 2), (FaultKind::Kill, 2)];

impl Profile {
    /// Its name on the command line: that of the variant, in small letters.
    pub fn name(self) -> String {
        let variant = format!("{self:?}");
        let spelled = variant.char_indices().flat_map(|(at, letter)| {
            let begins = at > 0 && letter.is_ascii_uppercase();
            begins.then_some('_').into_iter().chain([letter.to_ascii_lowercase()])
        });
        spelled.collect()
    }

    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|profile| profile.name() == name)
    }

    /// Most faults.
    pub const fn faults_max(self) -> u8 {
        match self {
            Mix | Workers | Rooms | RoomsChurn | RoomsClocks | RoomsHeads | RoomsShared => 7,
            Expiry => 3,
            _ if self.is_exact() => 0,
            _ if self.is_focused() => 1,
            _ => 5,
        }
    }

    /// Whether it aims at one interleaving.
    pub const fn is_focused(self) -> bool {
        self as u8 >= Births as u8 && !self.is_exact() && !self.is_of_rooms()
    }

    /// Whether its clocks are right and its faults are fixed, so that its lags have a meaning.
    pub const fn is_exact(self) -> bool {
        self as u8 >= Steady as u8 && self as u8 <= FlickeringDeath as u8
    }

    /// Whether it is a wide one with rooms.
    const fn is_of_rooms(self) -> bool {
        matches!(self, Rooms | RoomsChurn | RoomsClocks | RoomsHeads | RoomsShared)
    }

    const fn kinds(self) -> &'static [(FaultKind, u64)] {
        match self {
            Failovers => FAILOVERS,
            Heartbeats => HEARTBEATS,
            SlowRoster => SLOW_ROSTER,
            LostPublishes => LOST_PUBLISHES,
            PublisherCut => PUBLISHER_CUT,
            Resumes => RESUMES,
            Expiry => EXPIRY,
            _ => EVERYTHING,
        }
    }

    /// Draws a kind of fault.
    pub fn draw_kind(self, rng: &mut Rng) -> FaultKind {
        let kinds = self.kinds();
        let mut left = rng.below(kinds.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in kinds {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        FaultKind::StopNode
    }

    /// Makes a plan aim at what the profile is for.
    pub fn shape(self, plan: &mut SimOptions, rng: &mut Rng) {
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
                plan.bounds.queue_max = 1 + rng.below(3) as usize;
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
            Rooms | RoomsChurn | RoomsClocks | RoomsHeads | RoomsShared | Joiners | Removals
            | JoinOverflows | Adders => {
                rooms::shape(self, plan, rng);
            }
            _ if self.is_exact() => exact::shape(self, plan, rng),
            _ => focus::shape(self, plan, rng),
        }
    }
}
