//! `bench draw`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::bench::FigureKind;
use crate::cli::CliFailure;

/// Draws what other measurements printed with `--json`, as SVG: equal bytes for equal rows.
#[derive(Debug, Args)]
pub(in crate::cli) struct DrawArguments {
    /// What is drawn.
    kind: FigureName,
    /// Files of JSON objects.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    svg: PathBuf,
}

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FigureName {
    /// Node events a delivery, of `fanout` (dots) and `layout` (lines).
    Fanout,
    /// CPU for a delivery, of `relay`.
    Relay,
    /// Latency by rate, of several `load`.
    Load,
    /// A change of layout over time, of one `load` and what was done meanwhile.
    Change,
    /// A fault over time, of the same.
    Failover,
}

impl From<FigureName> for FigureKind {
    fn from(name: FigureName) -> Self {
        match name {
            FigureName::Fanout => Self::Fanout,
            FigureName::Relay => Self::Relay,
            FigureName::Load => Self::Load,
            FigureName::Change => Self::Change,
            FigureName::Failover => Self::Failover,
        }
    }
}

impl DrawArguments {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let mut text = String::new();
        for file in &self.files {
            text.push_str(&fs::read_to_string(file).map_err(|error| unusable(file, error))?);
            text.push('\n');
        }
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        let svg = FigureKind::from(self.kind).draw(&text);
        let svg =
            svg.map_err(|error| CliFailure::usage(format!("{}: {error}", files.join(", "))))?;
        fs::write(&self.svg, svg)
            .map_err(|error| CliFailure::usage(format!("--svg {}: {error}", self.svg.display())))
    }
}

fn unusable(file: &Path, error: std::io::Error) -> CliFailure {
    CliFailure::usage(format!("{}: {error}", file.display()))
}
