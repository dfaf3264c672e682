//! The whole configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::Value;

use super::key_path::KeyPath;
use super::key_type::{Checked, Group, Integer, LoneKey, NAME, SubTable};
use super::keys::{KeyGroup, Printed, keys};
use super::layers::Layers;
use super::leaves::leaves;
use super::name::{GIVEN_NODE_NAME_RULE, is_given_node_name, node_name_of_host};
use super::provenance::ValueOrigins;
use super::section::Section;
use super::{
    AuthConfig, ConfigErrors, DeliveryConfig, LayoutConfig, LayoutsConfig, LimitsConfig,
    ListenConfig, Origin, PolicyConfig, Rates, StoreConfig, TelemetryConfig, Timeouts,
};

keys! {
    /// A resolved configuration. `config/default.toml` states the meaning, default, bound and
    /// reason of each key.
    pub struct Config {
        /// This node, and its deployment.
        pub node: NodeConfig = Group,
        /// Event loops.
        pub workers: usize = Integer(1..=64),
        /// Where it listens, and for how many.
        pub listen: ListenConfig = SubTable,
        /// The layouts, and which of them this node uses.
        pub layouts: LayoutsConfig = Group,
        /// Where messages live.
        pub store: StoreConfig = SubTable,
        /// Which tokens are trusted.
        pub auth: AuthConfig = SubTable,
        /// Who may do what.
        pub policy: PolicyConfig = SubTable,
        /// How long to wait.
        pub timeouts: Timeouts = SubTable,
        /// How much to take.
        pub limits: LimitsConfig = SubTable,
        /// How often.
        pub rates: Rates = SubTable,
        /// How messages reach the nodes that need them.
        pub delivery: DeliveryConfig = Group,
        /// What to log.
        pub telemetry: TelemetryConfig = SubTable,
    }
    relate Self::relate_rates;
}

keys! {
    /// The identity of this process.
    pub struct NodeConfig {
        /// The deployment; part of every Redis channel.
        pub namespace: String = NAME,
        /// Its name in the cluster table, in logs and in `ready`; empty is the host's.
        pub name: String =
            LoneKey("name", Checked(GIVEN_NODE_NAME_RULE, is_given_node_name)) => "node",
    }
}

impl NodeConfig {
    /// Names the node after its host, unless the configuration names it. Returns whether the name of
    /// the host had to be changed to be one of a node.
    pub fn name_after(&mut self, host: &str) -> bool {
        if !self.name.is_empty() {
            return false;
        }
        self.name = node_name_of_host(host);
        self.name != host
    }
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
        Self::load_with_origins(user_toml, env).map(|(config, _)| config)
    }

    /// Returns the values that are not defaults, one a line, each with where it comes from.
    /// Secrets are masked.
    ///
    /// # Errors
    ///
    /// Those of [`Self::load`].
    pub fn print_changed(
        user_toml: Option<&str>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<String, ConfigErrors> {
        let (config, origins) = Self::load_with_origins(user_toml, env)?;
        let line = |(path, value): (String, Value)| match origins
            .of(&path.split('.').collect::<KeyPath>())
        {
            Origin::Default => None,
            origin => Some(format!("{path} = {value}  # {origin}\n")),
        };
        Ok(config.leaves().into_iter().filter_map(line).collect())
    }

    fn load_with_origins(
        user_toml: Option<&str>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, ValueOrigins), ConfigErrors> {
        let mut layers = Layers::defaults();
        if let Some(text) = user_toml {
            layers.file(text)?;
        }
        layers.environment(env);
        layers.read(Self::read)
    }

    /// Returns every value by the path of its key, secrets masked.
    pub(super) fn leaves(&self) -> BTreeMap<String, Value> {
        leaves(&self.print().parse().expect("what is printed is TOML"))
    }

    /// Returns the layout that this node publishes by.
    pub fn published(&self) -> &LayoutConfig {
        self.layouts.published()
    }

    /// Returns the layouts that this node subscribes by.
    pub fn subscribed(&self) -> impl Iterator<Item = &LayoutConfig> {
        self.layouts.subscribed()
    }

    /// Returns the whole configuration as TOML that can be loaded again. Secrets and the passwords
    /// in URLs are the exception: they print masked.
    pub fn print(&self) -> String {
        toml::to_string(&Printed(self))
            .expect("tables, strings and integers within their bounds are TOML")
    }

    /// A frame that is allowed must be possible by the rates: its bytes, and its patterns.
    fn relate_rates(&self, s: &mut Section) {
        let Self { rates, limits, .. } = self;
        let items = rates.of_users().map_or(u32::MAX, |user| user.items.burst);
        let floors = [
            (
                "byte_burst",
                rates.bytes.burst,
                "frame_bytes",
                limits.frame_bytes as usize,
                "a frame is one piece",
            ),
            (
                "item_burst",
                items,
                "patterns",
                limits.requests.patterns,
                "one frame may name as many",
            ),
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
