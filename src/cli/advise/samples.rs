//! The samples of a node's `/metrics`.

use std::collections::BTreeMap;

use crate::advice::ClassCounts;

/// Most samples that are kept of a node.
const SAMPLES_MAX: usize = 100_000;

/// Samples by their whole names, labels included.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads lines of `NAME{LABELS} VALUE`; others are passed over.
    pub(super) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let value: f64 = value.parse().ok()?;
            value.is_finite().then(|| (name.to_owned(), value))
        };
        Self(lines.filter_map(sample).take(SAMPLES_MAX).collect())
    }

    /// Returns a sample by its name and labels; 0 if there is none.
    pub(super) fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Whether there is a sample of this name and these labels.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// How many samples begin so.
    pub(super) fn count(&self, start: &str) -> usize {
        self.0.keys().filter(|name| name.starts_with(start)).count()
    }

    /// Returns what was counted of a class.
    pub(super) fn class(&self, class: &str) -> ClassCounts {
        let by_class = |name: &str| self.of(&format!("narrowcast_{name}{{class=\"{class}\"}}"));
        let received = |outcome: &str| {
            let labels = format!("{{outcome=\"{outcome}\",class=\"{class}\"}}");
            self.of(&format!("narrowcast_bus_received_total{labels}"))
        };
        ClassCounts {
            keys_held: by_class("keys_held"),
            buckets_held: by_class("buckets_held"),
            publishes: by_class("publishes_to_buckets_total"),
            copies: by_class("bucket_copies_total"),
            useful: received("useful"),
            echo: received("echo"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_read_by_their_whole_names() {
        let text = "# TYPE a counter\nnarrowcast_keys_held{class=\"room\"} 7\nb NaN\n\
                    narrowcast_bus_received_total{outcome=\"echo\",class=\"room\"} 2\n# EOF\n";
        let samples = Samples::read(text);
        let room = samples.class("room");
        assert_eq!((room.keys_held, room.echo, room.useful), (7.0, 2.0, 0.0));
        assert_eq!(samples.count("narrowcast_"), 2);
        assert!(!samples.has("b"), "it is no number");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC{0,20}[ \n]){0,20}") {
            let _samples = Samples::read(&text).class("user");
        }
    }
}
