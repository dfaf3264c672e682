//! The health of a node: computed here from its shard connections, the node agent, the store and
//! the clock. `http` shows it, and the workers act on it.
//!
//! | file | holds |
//! | --- | --- |
//! | `readiness` | [`Readiness`], what can be asked of a running node |
//! | `observation` | what the parts report at one moment, and the status that follows |
//! | `reason` | the reasons against a node, each with its code |

mod observation;
mod readiness;
mod reason;

pub use observation::ReadyState;
pub use readiness::Readiness;
