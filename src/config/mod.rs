//! What an operator can configure, and what it means.
//!
//! ```text
//! default.toml -> file -> environment     layers: one table, and where each value is from
//!                              |
//!                           section       typed reading: unknown, type, bound, relation
//!                              |
//!                            keys         one declaration a key: its struct, reader and printer
//!                              |
//!                 Config, or all mistakes at once
//! ```
//!
//! Invariants worth naming:
//!
//! - `config/default.toml` is the only place where a default is written.
//! - A loaded `Config` is within every bound that the file states, so its readers do not check
//!   again.
//! - No secret leaves by `Debug`, `Display`, `print` or a mistake: only by `expose`.

mod auth;
mod bus;
mod comparison;
mod delivery;
mod error;
mod key_path;
mod key_type;
mod keys;
mod known_secrets;
mod layers;
mod layout;
mod layout_choice;
mod leaves;
mod limits;
mod listen;
mod name;
mod policy;
mod provenance;
mod rates;
mod redis_access;
mod section;
mod sentinel;
mod serve;
mod settings;
mod shard;
mod store;
mod suggestion;
mod telemetry;
mod timeouts;

pub use auth::{Algorithm, AuthConfig, KeyConfig, TokenRules};
pub use bus::LinkBounds;
pub use comparison::{NamedConfig, is_alike, misfits};
pub use delivery::{DeliveryConfig, InterestConfig, RepairConfig, ResumeBounds};
pub use error::{ConfigError, ConfigErrors, Origin};
pub use layout::LayoutConfig;
pub use layout_choice::{LayoutChoice, LayoutsConfig};
pub use limits::{LimitsConfig, SessionBounds, SharedLimits, UserLimits};
pub use listen::ListenConfig;
pub use policy::{Initiator, PolicyConfig};
pub use rates::{RateConfig, Rates, UserRates};
pub use settings::{Config, NodeConfig};
pub use shard::ShardConfig;
pub use store::{CqlConfig, Credentials, EmbeddedBounds, StoreBackend, StoreConfig, TlsConfig};
pub use telemetry::TelemetryConfig;
pub use timeouts::{CqlTimeouts, LinkTimeouts, RedisTimeouts, Timeouts};

#[cfg(test)]
mod tests;
