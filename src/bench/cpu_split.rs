//! CPU time of the load generator, beside that of what it measures.

use std::time::Duration;

use serde::Serialize;

use super::error::BenchError;
use super::usage::ProcessUsage;

/// CPU time over a measurement, in seconds. Where the nodes are in the generator's own process the
/// two cannot be told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CpuSplit {
    /// The load generator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_cpu_s: Option<f64>,
    /// The servers'; absent also if others run them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_cpu_s: Option<f64>,
    /// That of the one process which both share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_cpu_s: Option<f64>,
}

/// Where the servers are.
#[derive(Debug, Clone, Copy)]
pub(super) enum ServersAre {
    /// In this process.
    Here,
    /// In a process of their own.
    In(u32),
    /// In processes that others run.
    Elsewhere,
}

/// Reads CPU time from its making on.
#[derive(Debug)]
pub(super) struct CpuMeter {
    servers: ServersAre,
    own: Duration,
    theirs: Duration,
}

impl CpuSplit {
    /// The header of its column in a table.
    pub(super) const HEADER: &'static str = "CPU s: generator/servers";

    /// Its cell in a table.
    pub(super) fn cell(&self) -> String {
        match (self.shared_cpu_s, self.generator_cpu_s, self.servers_cpu_s) {
            (Some(shared), ..) => format!("one process: {shared:.1}"),
            (None, Some(own), Some(theirs)) => format!("{own:.1}/{theirs:.1}"),
            (None, own, None) => format!("{:.1}/?", own.unwrap_or_default()),
            (None, None, Some(theirs)) => format!("?/{theirs:.1}"),
        }
    }
}

impl CpuMeter {
    /// Begins.
    pub(super) fn begin(servers: ServersAre) -> Result<Self, BenchError> {
        let (own, theirs) = (ProcessUsage::of_this_process()?.cpu, servers.cpu()?);
        Ok(Self { servers, own, theirs })
    }

    /// What was used since.
    pub(super) fn end(&self) -> Result<CpuSplit, BenchError> {
        let own = ProcessUsage::of_this_process()?.cpu.saturating_sub(self.own).as_secs_f64();
        let theirs = self.servers.cpu()?.saturating_sub(self.theirs).as_secs_f64();
        let split = CpuSplit { generator_cpu_s: Some(own), ..CpuSplit::default() };
        Ok(match self.servers {
            ServersAre::Here => CpuSplit { shared_cpu_s: Some(own), ..CpuSplit::default() },
            ServersAre::In(_) => CpuSplit { servers_cpu_s: Some(theirs), ..split },
            ServersAre::Elsewhere => split,
        })
    }
}

impl ServersAre {
    fn cpu(self) -> Result<Duration, BenchError> {
        match self {
            Self::In(pid) => Ok(ProcessUsage::of(pid)?.cpu),
            Self::Here | Self::Elsewhere => Ok(Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_no_figure_of_the_generator_alone() {
        let split = |servers| CpuMeter::begin(servers).unwrap().end().unwrap();
        let shared = split(ServersAre::Here);
        assert!(shared.generator_cpu_s.is_none() && shared.shared_cpu_s.is_some(), "{shared:?}");
        assert!(shared.cell().starts_with("one process: "), "{}", shared.cell());
        let apart = split(ServersAre::In(std::process::id()));
        assert!(apart.servers_cpu_s.is_some() && apart.cell().contains('/'), "{apart:?}");
        assert!(split(ServersAre::Elsewhere).cell().ends_with("/?"));
    }
}
