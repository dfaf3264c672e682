//! The process's file descriptors, and who may take them.

use crate::http::OPERATOR_CONNECTIONS_MAX;

/// Descriptors that clients leave to the operator's port, the store's files and the links; of a limit
/// below twice as many it is half.
const KEPT_MAX: usize = 512;

/// Raises the process's limit as far as it may be: a soft limit of 1,024 would end a node at its
/// thousandth session.
pub fn raise_descriptors() -> std::io::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX).map(drop)
}

/// How the descriptors of the process are divided, so that clients who take all of theirs leave the
/// node able to say how it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptors {
    /// The process's limit.
    limit: usize,
}

impl Descriptors {
    /// Of this process.
    pub(super) fn of_process() -> std::io::Result<Self> {
        let soft = rlimit::Resource::NOFILE.get_soft()?;
        Ok(Self { limit: usize::try_from(soft).unwrap_or(usize::MAX) })
    }

    fn kept(self) -> usize {
        KEPT_MAX.min(self.limit / 2)
    }

    /// Client connections at once where `wanted` are configured; fewer are told in the log.
    pub(super) fn clients(self, wanted: usize) -> usize {
        let max = self.limit - self.kept();
        if max < wanted {
            let limit = self.limit;
            tracing::warn!(
                "listen.connections: {wanted} cannot be held, since the process may open {limit} files: at most {max} are"
            );
        }
        max.min(wanted)
    }

    /// Connections of the operator's port: half of what is kept, the rest is for the store and the
    /// links.
    pub(super) fn operator(self) -> usize {
        OPERATOR_CONNECTIONS_MAX.min(self.kept() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_some_to_the_operator() {
        let divided = |limit| {
            let descriptors = Descriptors { limit };
            (descriptors.clients(100_000), descriptors.operator())
        };
        assert_eq!(divided(128), (64, 32));
        assert_eq!(divided(1024), (512, 256));
        assert_eq!(divided(65_536), (65_024, 256));
        assert_eq!(divided(usize::MAX), (100_000, 256));
    }
}
