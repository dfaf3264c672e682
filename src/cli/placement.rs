//! How users reach nodes, as commands name it.

use clap::ValueEnum;

use crate::layout::Placement;

/// How users reach nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlacementName {
    /// Any session may be on any node.
    Random,
    /// The load balancer hashes the user.
    Bucket,
}

impl From<PlacementName> for Placement {
    fn from(name: PlacementName) -> Self {
        match name {
            PlacementName::Random => Self::Random,
            PlacementName::Bucket => Self::Bucket,
        }
    }
}
