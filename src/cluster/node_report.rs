//! What a node reports of itself to the operators of all: nothing here decides anything.

/// Most reasons of a report.
const REASONS_MAX: usize = 4;

/// Most bytes of a reason, an address, a status or a version. Every node reads all reports every
/// two seconds.
const TEXT_BYTES_MAX: usize = 200;

/// What a node reports of itself. All is empty in rows of programs that report nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeReport {
    /// The program's version.
    pub version: String,
    /// Where the operator's listener is.
    pub operator: String,
    /// The readiness, as `/readyz` states it.
    pub status: String,
    /// Why it is not well: the first reasons, cut off where they are long.
    pub reasons: Vec<String>,
    /// Its sessions.
    pub sessions: u64,
    /// How far its watermark was behind its clock, in milliseconds; none before the first.
    pub lag_ms: Option<u64>,
}

impl NodeReport {
    /// Returns the same with few reasons and short texts.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.reasons.truncate(REASONS_MAX);
        let texts = [&mut self.version, &mut self.operator, &mut self.status];
        texts.into_iter().chain(&mut self.reasons).for_each(cut);
        self
    }
}

/// Cuts a text off at its bound, between two characters.
fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_report_is_short_and_stays_as_it_is_if_it_was(
            text in "\\PC{0,150}", reasons in proptest::collection::vec("\\PC{0,150}", 0..9),
        ) {
            let report = NodeReport { status: text.clone(), reasons, ..NodeReport::default() };
            let short = report.clone().bounded();
            prop_assert!(short.reasons.len() <= REASONS_MAX);
            prop_assert!(short.reasons.iter().all(|reason| reason.len() <= TEXT_BYTES_MAX));
            prop_assert!(text.starts_with(&short.status));
            prop_assert_eq!(short.clone().bounded(), short.clone());
            let is_short = |text: &String| text.len() <= TEXT_BYTES_MAX;
            if is_short(&text) && report.reasons.len() <= REASONS_MAX && report.reasons.iter().all(is_short) {
                prop_assert_eq!(short, report);
            }
        }
    }
}
