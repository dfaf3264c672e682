//! What is limited.

use std::fmt;

use smallvec::SmallVec;

use super::Rate;
use crate::config::RateConfig;
use crate::domain::UserId;

/// Policies of one call.
pub const CHARGES_MAX: usize = 4;

/// A limit with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// What it counts, in the plural. It is part of keys and of errors for clients.
    pub name: &'static str,
    /// How many at once.
    pub burst: u32,
    /// How many per second, from then on.
    pub per_s: u32,
}

impl RateLimit {
    /// Makes a policy from its configuration.
    pub(super) const fn new(name: &'static str, rate: RateConfig) -> Self {
        Self { name, burst: rate.burst, per_s: rate.per_s }
    }

    /// Returns the same limit in microseconds.
    pub(super) const fn rate(&self) -> Rate {
        Rate::micros(self.burst, self.per_s)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, burst, per_s } = self;
        write!(f, "{name}: {per_s} a second and {burst} at once are allowed")
    }
}

/// A rate of each user that a session is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRate {
    /// Sends of messages.
    Sends,
    /// Events, signals and read marks.
    Events,
    /// Reads of the store.
    Reads,
}

impl UserRate {
    /// Returns the name of its limit.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sends => "sends",
            Self::Events => "events",
            Self::Reads => "reads",
        }
    }
}

/// The cost of a call under one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The policy.
    pub policy: RateLimit,
    /// The cost, in units of the policy.
    pub cost: u32,
}

/// A call of a user.
#[derive(Debug, Clone)]
pub struct LimitedCall {
    /// The user.
    pub user: UserId,
    /// Its costs: 1 to [`CHARGES_MAX`], each policy once.
    pub charges: SmallVec<[Charge; 1]>,
}

impl LimitedCall {
    /// Makes a call under one policy.
    pub fn one(user: &UserId, policy: RateLimit, cost: u32) -> Self {
        Self { user: user.clone(), charges: SmallVec::from_buf([Charge { policy, cost }]) }
    }
}
