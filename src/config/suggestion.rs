//! Finds the key that was probably meant.

/// The most edits between two keys that count as a typing error: a swap of neighbours is two.
const EDITS_MAX: usize = 2;

/// The longest key that is compared. The work is the product of both lengths, and the operator's
/// key has no bound.
const COMPARED_BYTES_MAX: usize = 64;

/// Returns the known key nearest to `given`. It must be near, and nearer than an unrelated short
/// word would be.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    if given.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let ranked = known.iter().map(|key| (edits(given.as_bytes(), key.as_bytes()), *key));
    let near = |&(edits, key): &(usize, &str)| edits <= EDITS_MAX && edits * 2 < key.len();
    ranked.filter(near).min().map(|(_, key)| key)
}

/// Returns the Levenshtein distance: the insertions, deletions and replacements that make one text
/// the other.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, byte) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for column in 1..row.len() {
            let replaced = diagonal + usize::from(*byte != to[column - 1]);
            diagonal = row[column];
            row[column] = replaced.min(diagonal + 1).min(row[column - 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_mistyped() {
        let known = ["workers", "namespace", "bus", "auth"];
        for (given, meant) in [
            ("wrokers", Some("workers")),
            ("name_space", Some("namespace")),
            ("buss", Some("bus")),
            ("colour", None),
            ("a", None),
        ] {
            assert_eq!(nearest(given, &known), meant, "{given}");
        }
        assert_eq!(nearest(&"w".repeat(COMPARED_BYTES_MAX + 1), &known), None);
    }

    #[test]
    fn counts_edits() {
        for (from, to, count) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(edits(from.as_bytes(), to.as_bytes()), count);
            assert_eq!(edits(to.as_bytes(), from.as_bytes()), count);
        }
    }
}
