//! Words that comments and texts do without: machines and users are *it* and *they*.

use super::source::Source;

const BANNED: [&str; 14] = [
    "whoever",
    "whatever",
    "nobody",
    "somebody",
    "anybody",
    "everybody",
    "he",
    "him",
    "his",
    "himself",
    "nought",
    "lest",
    "for ever",
    "she",
];

/// The banned words of a text.
pub fn banned(text: &str) -> Vec<&'static str> {
    let plain: String = text
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { ' ' })
        .collect();
    let padded = format!(" {} ", plain.split_whitespace().collect::<Vec<_>>().join(" "));
    BANNED.into_iter().filter(|word| padded.contains(&format!(" {word} "))).collect()
}

/// The banned words of a file, each with the text that it stands in.
pub fn of(source: &Source) -> Vec<(&'static str, String)> {
    let found = source
        .prose()
        .flat_map(|text| banned(text).into_iter().map(|word| (word, text.trim().to_owned())));
    found.collect()
}

#[test]
fn banned_words_are_found_in_comments_and_texts() {
    let text = "// Nobody hears it.\nlet he = \"he said, for\\\n ever\";";
    let source = Source::new("src/a.rs".into(), text);
    let found: Vec<_> = of(&source).into_iter().map(|(word, _)| word).collect();
    assert_eq!(found, ["nobody", "he", "for ever"]);
    assert_eq!(banned("it is kept for ever."), ["for ever"]);
    assert!(banned("The cache is here.").is_empty());
}
