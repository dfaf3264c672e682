//! Reading the configuration for commands.

use std::path::{Path, PathBuf};

use clap::Args;

use super::CliFailure;
use super::output::{print_line, print_text};
use crate::config::{Config, NamedConfig, misfits};
use crate::node::MemoryBounds;
use crate::telemetry::{self, say_error};

/// Reads a configuration file, or the defaults, with the process's environment.
pub(super) fn load(path: Option<&Path>) -> Result<Config, CliFailure> {
    let text = path.map(read).transpose()?;
    Config::load(text.as_deref(), std::env::vars_os()).map_err(CliFailure::usage)
}

fn read(path: &Path) -> Result<String, CliFailure> {
    let why = |error| CliFailure::Usage(format!("cannot read {}: {error}", path.display()));
    std::fs::read_to_string(path).map_err(why)
}

/// Starts the log by the configuration.
pub(super) fn begin_log(config: &Config) -> Result<(), CliFailure> {
    telemetry::init_logging(&config.telemetry.log, config.telemetry.format)
        .map_err(CliFailure::usage)
}

/// Warns once, when nodes start, of secrets that are publicly known.
pub(super) fn warn_of_exposed_secrets(config: &Config, file: Option<&Path>) {
    for warning in config.exposed_secrets(file) {
        tracing::warn!("{warning}");
    }
}

/// Says once, when a node starts, what memory its bounds allow, and warns if there is less.
pub(super) fn tell_memory(config: &Config) -> Result<(), CliFailure> {
    let bounds = MemoryBounds::of_process(config).map_err(CliFailure::failed)?;
    tracing::info!("memory: {}", bounds.summary());
    if let Some(warning) = bounds.warning_here() {
        tracing::warn!("memory: {warning}");
    }
    Ok(())
}

/// Reads a configuration and tells all its mistakes.
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// The files of several nodes: each is checked, and whether they fit each other. The
    /// environment is left out, since each node has its own.
    #[arg(conflicts_with = "config")]
    files: Vec<PathBuf>,
    /// The configuration file of one node.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        if self.files.is_empty() {
            check(&load(self.config.as_deref())?)?;
            return print_line("the configuration is fine");
        }
        let nodes: Vec<NamedConfig> =
            self.files.iter().map(|file| checked(file)).collect::<Result<_, _>>()?;
        let misfits = misfits(&nodes);
        if !misfits.is_empty() {
            let message = format!("the nodes do not fit each other:\n  {}", misfits.join("\n  "));
            return Err(CliFailure::Usage(message));
        }
        print_line("the configurations are fine, and fit each other")
    }
}

/// Refuses a configuration that `serve` would refuse, and warns of bounds beyond the memory.
fn check(config: &Config) -> Result<(), CliFailure> {
    config.check_serve().map_err(CliFailure::usage)?;
    let bounds = MemoryBounds::of_process(config).map_err(CliFailure::failed)?;
    if let Some(warning) = bounds.warning_here() {
        say_error(format_args!("warning: memory: {warning}"));
    }
    Ok(())
}

/// Reads and checks one file of several, without the environment. A mistake names the file.
fn checked(file: &Path) -> Result<NamedConfig, CliFailure> {
    let name = file.display().to_string();
    let config = Config::load(Some(&read(file)?), []).map_err(CliFailure::usage);
    let config = config.and_then(|config| check(&config).map(|()| config));
    match config {
        Ok(config) => Ok(NamedConfig { name, config }),
        Err(CliFailure::Usage(mistakes)) => Err(CliFailure::Usage(format!("{name}: {mistakes}"))),
        Err(other) => Err(other),
    }
}

/// Prints a configuration with defaults and environment, secrets masked.
#[derive(Debug, Args)]
pub(super) struct PrintConfig {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only what is not the default, one key a line, each with where its value comes from.
    #[arg(long)]
    changed: bool,
}

impl PrintConfig {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        if !self.changed {
            return print_text(&load(self.config.as_deref())?.print());
        }
        let text = self.config.as_deref().map(read).transpose()?;
        let changed = Config::print_changed(text.as_deref(), std::env::vars_os());
        print_text(&changed.map_err(CliFailure::usage)?)
    }
}
