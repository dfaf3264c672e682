//! The samples of a node's `/metrics`.

use std::collections::BTreeMap;

/// Most samples that are kept of a node.
const SAMPLES_MAX: usize = 100_000;

/// Samples by their whole names, labels included.
#[derive(Debug, Clone, Default)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads lines of `NAME{LABELS} VALUE`; others are passed over.
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let value: f64 = value.parse().ok()?;
            value.is_finite().then(|| (name.to_owned(), value))
        };
        Self(lines.filter_map(sample).take(SAMPLES_MAX).collect())
    }

    /// Returns a sample by its name and labels; 0 if there is none.
    pub fn of(&self, name: &str) -> f64 {
        self.get(name).unwrap_or_default()
    }

    /// Whether there is a sample of this name and these labels.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// How many samples begin so.
    pub fn count(&self, start: &str) -> usize {
        self.0.keys().filter(|name| name.starts_with(start)).count()
    }

    /// Returns a sample by its name and labels; none if the node does not show it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Returns the samples of a name, each with the value of its first label, or none.
    pub fn by_first_label(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(move |(sample, value)| {
            let (found, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let label = labels.split('"').nth(1).unwrap_or_default();
            (found == name).then_some((label, *value))
        })
    }

    /// Returns the sum of the samples that begin so; none if there are none.
    pub fn sum(&self, start: &str) -> Option<f64> {
        let wanted = self.0.iter().filter(|(name, _)| name.starts_with(start));
        wanted.map(|(_, value)| *value).reduce(|sum, value| sum + value)
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
        assert_eq!(samples.get("narrowcast_keys_held{class=\"room\"}"), Some(7.0));
        assert_eq!((samples.of("narrowcast_keys_held"), samples.get("b")), (0.0, None));
        assert_eq!(samples.sum("narrowcast_"), Some(9.0));
        assert_eq!(samples.sum("process_"), None);
        assert_eq!(samples.count("narrowcast_"), 2);
        let labelled = |name| samples.by_first_label(name).collect::<Vec<_>>();
        assert_eq!(labelled("narrowcast_bus_received_total"), [("echo", 2.0)]);
        assert_eq!((labelled("narrowcast_bus"), labelled("b")), (vec![], vec![]));
        assert!(!samples.has("b"), "it is no number");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC{0,20}[ \n]){0,20}") {
            let _samples = Samples::read(&text).sum("");
        }
    }
}
