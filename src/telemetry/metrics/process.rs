//! What the process takes of its machine, as `/proc` states it: read for each scrape.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks a second in `/proc`: fixed at 100 for programs on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds the process's memory, CPU time and descriptors, under the names that dashboards know. What
/// the machine does not state is left out. Nodes of one process show the same.
#[derive(Debug)]
pub(super) struct ProcessCollector;

/// What `/proc` states.
#[derive(Debug, Default, PartialEq)]
struct ProcessFigures {
    resident_bytes: Option<u64>,
    cpu_seconds: Option<f64>,
    open_descriptors: Option<u64>,
    descriptors_max: Option<u64>,
}

impl ProcessFigures {
    fn read() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self {
            resident_bytes: text("status").and_then(|text| resident(&text)),
            cpu_seconds: text("stat").and_then(|text| cpu(&text)),
            open_descriptors: open_descriptors(),
            descriptors_max: text("limits").and_then(|text| descriptors_max(&text)),
        }
    }
}

/// From Linux 6.2 on the directory's size is the count. Before, its entries are counted.
fn open_descriptors() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.len() {
        0 => fs::read_dir(DIRECTORY).ok().map(|entries| entries.count() as u64),
        count => Some(count),
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Fields 14 and 15 of `stat` (proc(5)); the name in field 2 may hold anything but its end.
fn cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? as f64 + ticks()? as f64) / TICKS_PER_SECOND)
}

/// The soft limit; none if there is no limit.
fn descriptors_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = ProcessFigures::read();
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", figures.resident_bytes),
            ("process_open_fds", "Open file descriptors", figures.open_descriptors),
            ("process_max_fds", "File descriptors that may be open", figures.descriptors_max),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let Some(seconds) = figures.cpu_seconds else { return Ok(()) };
        let (name, help) = ("process_cpu_seconds", "CPU time, user and system");
        let counter = ConstCounter::new(seconds);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_proc_states() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n"), Some(12_288));
        let seconds = cpu("7 (a (x) b) S 1 2 3 4 5 6 7 8 9 10 31 11 0 0 20");
        assert_eq!(seconds, Some(0.42));
        let limits = "Limit  Soft Limit  Hard Limit\nMax open files   1024   4096  files\n";
        assert_eq!(descriptors_max(limits), Some(1024));
        assert_eq!(descriptors_max("Max open files  unlimited  unlimited  files"), None);
        let figures = ProcessFigures::read();
        assert!(figures.resident_bytes > Some(0) && figures.cpu_seconds.is_some(), "{figures:?}");
        assert!(figures.open_descriptors > Some(2), "{figures:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,99}", lead in "(VmRSS:|7 \\(a\\) |Max open files)?") {
            let text = lead + &text;
            let _none = (resident(&text), cpu(&text), descriptors_max(&text));
        }
    }
}
