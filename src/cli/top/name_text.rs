//! Texts of nodes, which come from the network: made harmless, measured and cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for the rest of a text that was cut off.
const CUT: char = '…';

/// Most characters of a text that are looked at: more than any terminal is wide.
const TEXT_CHARS_MAX: usize = 2_000;

/// Writes out what a terminal would obey or not show, such as control characters and marks of direction.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars().take(TEXT_CHARS_MAX) {
        let is_seen = c.width().is_some_and(|width| width > 0);
        if is_seen { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to so many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(width(CUT.encode_utf8(&mut [0; 4]))) else {
        return String::new();
    };
    let (mut shown, mut taken) = (String::new(), 0);
    for c in text.chars() {
        taken += c.width().unwrap_or_default();
        if taken > room {
            break;
        }
        shown.push(c);
    }
    shown.push(CUT);
    shown
}

/// Cuts a text to so many columns and fills it up, from the right or from the left.
pub(super) fn fit(text: &str, columns: usize, is_right: bool) -> String {
    let text = cut(text, columns);
    let blanks = " ".repeat(columns.saturating_sub(width(&text)));
    if is_right { blanks + &text } else { text + &blanks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(harmless("a\r\x1b[2J\u{7}é日"), r"a\r\u{1b}[2J\u{7}é日");
        assert_eq!(
            harmless("\u{202E}a\u{200D}\u{301}\u{FEFF}"),
            r"\u{202e}a\u{200d}\u{301}\u{feff}"
        );
        assert_eq!(harmless(&"a".repeat(5_000)).len(), TEXT_CHARS_MAX);
    }

    #[test]
    fn wide_characters_are_cut_between_columns() {
        for (columns, cut_text) in
            [(0, ""), (1, "…"), (2, "…"), (3, "日…"), (4, "日…"), (6, "日本語")]
        {
            assert_eq!(cut("日本語", columns), cut_text, "{columns}");
        }
        assert_eq!(fit("日本", 6, true), "  日本");
        assert_eq!(fit("ab", 4, false), "ab  ");
    }

    proptest! {
        #[test]
        fn any_text_takes_the_columns_that_it_is_given(text in ".{0,40}", columns in 0_usize..50) {
            let text = harmless(&text);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(width(&cut(&text, columns)) <= columns, "{text}");
            prop_assert_eq!(width(&fit(&text, columns, false)), columns);
        }
    }
}
