//! Reading the configuration for commands.

use std::path::{Path, PathBuf};

use clap::Args;

use super::CliFailure;
use super::output::{print_line, print_text};
use crate::config::Config;
use crate::node::MemoryBounds;
use crate::telemetry::{self, say_error};

/// Reads a configuration file, or the defaults, with the process's environment.
pub(super) fn load(path: Option<&Path>) -> Result<Config, CliFailure> {
    let read = |path: &Path| {
        let why = |error| CliFailure::Usage(format!("cannot read {}: {error}", path.display()));
        std::fs::read_to_string(path).map_err(why)
    };
    let text = path.map(read).transpose()?;
    Config::load(text.as_deref(), std::env::vars_os()).map_err(CliFailure::usage)
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
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let config = load(self.config.as_deref())?;
        config.check_serve().map_err(CliFailure::usage)?;
        let bounds = MemoryBounds::of_process(&config).map_err(CliFailure::failed)?;
        if let Some(warning) = bounds.warning_here() {
            say_error(format_args!("warning: memory: {warning}"));
        }
        print_line("the configuration is fine")
    }
}

/// Prints a configuration with defaults and environment, secrets masked.
#[derive(Debug, Args)]
pub(super) struct PrintConfig {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl PrintConfig {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        print_text(&load(self.config.as_deref())?.print())
    }
}
