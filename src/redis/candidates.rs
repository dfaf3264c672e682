//! Which of the servers that the sentinels name is tried first, and which may replace the primary
//! that is known.
//!
//! Sentinels may differ: one that was away, or has not heard of a failover yet, names the server of
//! before. That server may still believe that it is the primary, so its own word does not decide.

use std::cmp::Reverse;

use super::sentinel_answer::NamedPrimary;

/// A server that one sentinel or several name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The server, and the largest epoch that a sentinel gave it.
    pub(super) primary: NamedPrimary,
    /// The sentinels that name it, by their places in the configuration.
    pub(super) named_by: Vec<usize>,
}

impl Candidate {
    /// Whether it may replace the server that is known: by a newer epoch, or because most of
    /// `sentinels` name it. The latter is for sentinels that were set up anew.
    pub(super) fn may_replace(&self, known: &NamedPrimary, sentinels: usize) -> bool {
        self.primary.endpoint == known.endpoint
            || self.primary.epoch > known.epoch
            || self.named_by.len() * 2 > sentinels
    }
}

/// Returns the servers that sentinels name: the one of the newest epoch first, and among equals the
/// one that most of them name.
pub(super) fn candidates(named: impl IntoIterator<Item = (usize, NamedPrimary)>) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (sentinel, primary) in named {
        match found.iter_mut().find(|other| other.primary.endpoint == primary.endpoint) {
            Some(other) => {
                other.primary.epoch = other.primary.epoch.max(primary.epoch);
                other.named_by.push(sentinel);
            }
            None => found.push(Candidate { primary, named_by: vec![sentinel] }),
        }
    }
    found.sort_by_key(|one| Reverse((one.primary.epoch, one.named_by.len())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Endpoint;

    fn named(port: u16, epoch: u64) -> NamedPrimary {
        NamedPrimary { endpoint: Endpoint::new("h", port).unwrap(), epoch }
    }

    /// The servers in the order in which they are tried, each with what names it.
    fn order(answers: &[(u16, u64)]) -> Vec<(String, Vec<usize>)> {
        let named = answers.iter().map(|&(port, epoch)| named(port, epoch)).enumerate();
        let found = candidates(named).into_iter();
        found.map(|one| (one.primary.endpoint.to_string(), one.named_by)).collect()
    }

    #[test]
    fn the_newest_epoch_is_first_and_then_what_most_name() {
        assert_eq!(order(&[]), []);
        assert_eq!(order(&[(1, 3), (1, 3)]), [("h:1".into(), vec![0, 1])]);
        assert_eq!(
            order(&[(1, 3), (1, 3), (2, 4)]),
            [("h:2".into(), vec![2]), ("h:1".into(), vec![0, 1])]
        );
        assert_eq!(
            order(&[(1, 3), (2, 3), (2, 3)]),
            [("h:2".into(), vec![1, 2]), ("h:1".into(), vec![0])]
        );
        assert_eq!(
            order(&[(1, 3), (2, 2), (1, 1)]),
            [("h:1".into(), vec![0, 2]), ("h:2".into(), vec![1])]
        );
    }

    #[test]
    fn a_late_sentinel_alone_does_not_bring_the_old_primary_back() {
        let known = named(2, 4);
        let replaces = |port, epoch, named_by: &[usize]| {
            let candidate = Candidate { primary: named(port, epoch), named_by: named_by.to_vec() };
            candidate.may_replace(&known, 3)
        };
        assert!(replaces(2, 3, &[0]), "it is the same server");
        assert!(replaces(3, 5, &[0]), "a newer failover");
        assert!(!replaces(1, 3, &[0]), "late");
        assert!(!replaces(1, 4, &[0]), "no newer");
        assert!(replaces(1, 0, &[0, 2]), "sentinels that were set up anew");
    }
}
