//! Signals that ask a process to end, SIGHUP, which a service ignores, and SIGCHLD of process 1.

use std::future::poll_fn;
use std::task::Poll;

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CliFailure;

/// Requests to end the process. From the moment that this is made they are received here, and no
/// longer end the process by themselves.
pub(super) struct StopRequests {
    signals: Vec<(SignalKind, Signal)>,
}

impl StopRequests {
    /// The signals of a service: SIGTERM and SIGINT.
    pub(super) fn of_service() -> Result<Self, CliFailure> {
        Self::listen(&[SignalKind::terminate(), SignalKind::interrupt()])
    }

    /// Also the other signals of a terminal, its end included: for commands that leave nothing
    /// behind.
    pub(super) fn of_terminal() -> Result<Self, CliFailure> {
        let mut kinds = vec![SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        if !is_hangup_ignored() {
            kinds.push(SignalKind::hangup());
        }
        Self::listen(&kinds)
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            for (kind, signal) in &mut self.signals {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*kind);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for an orderly end, unless another request comes before.
    pub(super) async fn unless_again(
        &mut self,
        ending: impl Future<Output = ()>,
    ) -> Result<(), CliFailure> {
        tokio::select! {
            () = ending => Ok(()),
            _kind = self.next() => Err(CliFailure::Failed("ended at once by a second request".into())),
        }
    }

    fn listen(kinds: &[SignalKind]) -> Result<Self, CliFailure> {
        let signals = kinds.iter().map(|kind| Ok((*kind, signal(*kind)?)));
        let signals = signals.collect::<std::io::Result<_>>().map_err(CliFailure::failed)?;
        Ok(Self { signals })
    }
}

/// Ignores SIGHUP, in a task of its own. Many services read their configuration again then, so the
/// log states that this one does not.
pub(super) fn outlive_hangups() -> Result<(), CliFailure> {
    let mut hangups = signal(SignalKind::hangup()).map_err(CliFailure::failed)?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP changes nothing: the configuration is read at the start alone");
        }
    });
    Ok(())
}

/// As process 1, asks for the ends of processes whose parents have died. Nothing else does in a
/// container, where they would stay as zombies. A service starts no process of its own.
pub(super) fn reap_orphans() -> Result<(), CliFailure> {
    if std::process::id() != 1 {
        return Ok(());
    }
    let mut ends = signal(SignalKind::child()).map_err(CliFailure::failed)?;
    tokio::spawn(async move {
        while ends.recv().await.is_some() {
            while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        }
    });
    Ok(())
}

/// Whether this process was started to outlive its terminal, as by nohup(1): the first bit of the
/// mask in proc(5).
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}
