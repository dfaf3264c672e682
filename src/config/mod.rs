//! What an operator can configure, and what it means.
//!
//! ```text
//! default.toml -> file -> environment     layers: one table, and where each value is from
//!                              |
//!                           section       typed reading: unknown, type, bound, relation
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
mod choice;
mod error;
mod interest;
mod key_path;
mod known_secrets;
mod layers;
mod layout;
mod limits;
mod listen;
mod name;
mod node;
mod policy;
mod print;
mod provenance;
mod rates;
mod redis_url;
mod repair;
mod secret;
mod section;
mod serve;
mod settings;
mod store;
mod suggestion;
mod telemetry;
mod timeouts;

pub use auth::{Algorithm, AuthConfig, KeyConfig};
pub use bus::BusConfig;
pub use choice::LayoutChoice;
pub use error::{ConfigError, ConfigErrors, Origin};
pub use interest::InterestConfig;
pub use layout::{BucketsConfig, LayoutConfig, ShardConfig};
pub use limits::LimitsConfig;
pub use listen::ListenConfig;
pub use node::NodeConfig;
pub use policy::{CreatePolicy, DirectPolicy, PolicyConfig};
pub use rates::{RateConfig, Rates, UserRates};
pub use redis_url::{RedisUrl, RedisUrlError};
pub use repair::{AuditConfig, RepairConfig};
pub use secret::Secret;
pub use settings::Config;
pub use store::{CqlConfig, StoreBackend, StoreConfig};
pub use telemetry::{LogFormatConfig, TelemetryConfig};
pub use timeouts::Timeouts;

#[cfg(test)]
mod tests;
