//! The whole configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use super::key_path::KeyPath;
use super::layers::Layers;
use super::section::Section;
use super::{
    AuditConfig, AuthConfig, BusConfig, ConfigErrors, InterestConfig, LayoutChoice, LayoutConfig,
    LimitsConfig, ListenConfig, NodeConfig, PolicyConfig, Rates, RepairConfig, StoreConfig,
    TelemetryConfig, Timeouts,
};

const WORKERS: RangeInclusive<u64> = 1..=64;
const LAYOUTS: RangeInclusive<usize> = 1..=8;

/// Why a layout that is in use exists.
const IN_USE: &str = "a loaded configuration has the layouts that it names";

/// A resolved configuration. `config/default.toml` states the meaning, bound and reason of each
/// key. The fields here have the names of the keys there, durations without their unit.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// The deployment; part of every Redis channel.
    pub namespace: String,
    /// Event loops.
    pub workers: usize,
    /// This node.
    pub node: NodeConfig,
    /// Where it listens, and for how many.
    pub listen: ListenConfig,
    /// The layouts, by name in byte order.
    #[serde(serialize_with = "by_name")]
    pub layouts: Vec<LayoutConfig>,
    /// Which of them this node uses.
    pub layout: LayoutChoice,
    /// Where messages live.
    pub store: StoreConfig,
    /// Which tokens are trusted.
    pub auth: AuthConfig,
    /// Who may do what.
    pub policy: PolicyConfig,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How much to take.
    pub limits: LimitsConfig,
    /// How often.
    pub rates: Rates,
    /// Which buckets to subscribe to.
    pub interest: InterestConfig,
    /// Reads of the store for what live delivery may have missed.
    pub repair: RepairConfig,
    /// Looking for messages that should not be missing.
    pub audit: AuditConfig,
    /// The connections to Redis.
    pub bus: BusConfig,
    /// What to log.
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Resolves the defaults, the text of a configuration file and an environment, each over the
    /// one before. Only names of the environment that start with `NARROWCAST__` count.
    ///
    /// # Errors
    ///
    /// All mistakes at once. If the text is not TOML, the place where it stops being TOML.
    pub fn load(
        user_toml: Option<&str>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let mut layers = Layers::defaults();
        if let Some(text) = user_toml {
            layers.file(text)?;
        }
        layers.environment(env);
        layers.read(Self::read)
    }

    /// Returns the layout of this name.
    pub fn layout(&self, name: &str) -> Option<&LayoutConfig> {
        self.layouts.iter().find(|layout| layout.name == name)
    }

    /// Returns the layout that this node publishes by.
    pub fn published(&self) -> &LayoutConfig {
        self.layout(&self.layout.publish).expect(IN_USE)
    }

    /// Returns the layouts that this node subscribes by.
    pub fn subscribed(&self) -> impl Iterator<Item = &LayoutConfig> {
        self.layout.subscribe.iter().map(|name| self.layout(name).expect(IN_USE))
    }

    fn read(s: &mut Section) -> Self {
        let layouts = s.named("layouts", &LAYOUTS, LayoutConfig::read);
        let config = Self {
            namespace: s.name("namespace"),
            workers: s.count("workers", &WORKERS),
            node: s.section("node", NodeConfig::read),
            listen: s.section("listen", ListenConfig::read),
            layout: s.section("layout", |s| LayoutChoice::read(s, &layouts)),
            layouts,
            store: s.section("store", StoreConfig::read),
            auth: s.section("auth", AuthConfig::read),
            policy: s.section("policy", PolicyConfig::read),
            timeouts: s.section("timeouts", Timeouts::read),
            limits: s.section("limits", LimitsConfig::read),
            rates: s.section("rates", Rates::read),
            interest: s.section("interest", InterestConfig::read),
            repair: s.section("repair", RepairConfig::read),
            audit: s.section("audit", AuditConfig::read),
            bus: s.section("bus", BusConfig::read),
            telemetry: s.section("telemetry", TelemetryConfig::read),
        };
        config.layout.relate_shards(s, &config.layouts);
        config.relate_rates(s);
        config
    }
}

impl Config {
    /// A frame that is allowed must be possible by the rates: its bytes, and its patterns.
    fn relate_rates(&self, s: &mut Section) {
        let Self { rates, limits, .. } = self;
        let items = rates.users.map_or(u32::MAX, |users| users.items.burst);
        let floors = [
            (
                "byte_burst",
                rates.bytes.burst,
                "frame_bytes",
                limits.frame_bytes,
                "a frame is one piece",
            ),
            ("item_burst", items, "patterns", limits.patterns, "one frame may name as many"),
        ];
        for (burst, held, bound, floor, why) in floors {
            let [burst, bound] = [("rates", burst), ("limits", bound)]
                .map(|(table, key)| KeyPath::default().child(table).child(key));
            if (held as usize) < floor && !s.is_mistaken_at(&burst) && !s.is_mistaken_at(&bound) {
                let wanted = format!("at least {floor} is required, {bound}: {why}");
                s.note(burst, held, &wanted);
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::load(None, []).expect("default.toml is within its own bounds: a test loads it")
    }
}

fn by_name<S: Serializer>(layouts: &[LayoutConfig], serializer: S) -> Result<S::Ok, S::Error> {
    let named: BTreeMap<&str, _> = layouts.iter().map(|it| (it.name.as_str(), it)).collect();
    named.serialize(serializer)
}
