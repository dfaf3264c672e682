//! What a measurement costs its processes: CPU time and memory of each, and CPU time of Redis
//! servers as they report it.

use std::fs;
use std::time::Duration;

use rustix::process::getpid;

use super::error::BenchError;
use crate::config::{Config, RedisTimeouts};
use crate::redis::{Pool, RedisUrl};

/// Clock ticks per second in `/proc`: fixed at 100 for user space on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// What a process used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ProcessUsage {
    /// CPU time of all threads, user and system, in steps of 10 ms.
    pub(super) cpu: Duration,
    /// Memory that is resident now, in bytes.
    pub(super) resident_bytes: u64,
}

impl ProcessUsage {
    /// Reads the usage of a process. It fails if the process is gone.
    pub(super) fn of(pid: u32) -> Result<Self, BenchError> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}"))
                .map_err(|error| BenchError::Answer(format!("process {pid}: {error}")))
        };
        let missing = |what| move || BenchError::Answer(format!("process {pid}: no {what}"));
        let ticks = ticks(&read("stat")?).ok_or_else(missing("CPU time"))?;
        // A process that ended and was not waited for has no memory.
        let resident_bytes = resident_bytes(&read("status")?).ok_or_else(missing("VmRSS"))?;
        Ok(Self { cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND), resident_bytes })
    }

    /// Reads the usage of this process.
    pub(super) fn of_this_process() -> Result<Self, BenchError> {
        Self::of(getpid().as_raw_nonzero().get().unsigned_abs())
    }
}

/// Fields 14 and 15 of `stat` (proc(5)); the name in field 2 may hold anything but its end.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(") ")?;
    let mut fields = after.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(rest.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Redis servers that are asked for their CPU time.
#[derive(Debug)]
pub(super) struct RedisServers(Vec<Pool>);

impl RedisServers {
    /// Takes the servers at these addresses. It connects when they are first asked.
    pub(super) fn new(urls: &[String]) -> Result<Self, BenchError> {
        let RedisTimeouts { connect, links, .. } = Config::default().timeouts.redis;
        let pool = |url: &String| -> Result<Pool, BenchError> {
            Ok(Pool::new(url.parse::<RedisUrl>()?.into(), &connect, links.reply))
        };
        urls.iter().map(pool).collect::<Result<_, _>>().map(Self)
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// CPU time of all servers so far, as `INFO` states it.
    pub(super) async fn cpu(&self) -> Result<Duration, BenchError> {
        let mut total = 0.0;
        for server in &self.0 {
            total += server.cpu_seconds().await?;
        }
        Ok(Duration::from_secs_f64(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process_are_read() {
        assert_eq!(ticks("7 (a (x) b) S 1 2 3 4 5 6 7 8 9 10 31 11 0 0 20"), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t    7 kB\n"), Some(7168));
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\n"), None);
    }

    #[test]
    fn this_process_has_memory_and_no_process_is_0() {
        assert!(ProcessUsage::of_this_process().unwrap().resident_bytes > 1 << 20);
        let error = ProcessUsage::of(0).unwrap_err().to_string();
        assert!(error.starts_with("process 0: "), "{error}");
    }
}
