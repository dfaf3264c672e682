//! A source file, its code told from its comments and texts.

use std::path::{Path, PathBuf};

/// What a part of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Code,
    Comment,
    Text,
}

/// A file of `src`.
#[derive(Debug)]
pub struct Source {
    pub path: PathBuf,
    /// The folder right below `src`, or the file's own name.
    pub room: String,
    parts: Vec<(Part, String)>,
}

impl Source {
    pub fn new(path: PathBuf, text: &str) -> Self {
        let below = path.components().skip_while(|part| part.as_os_str() != "src").nth(1);
        let room = below.map(|part| part.as_os_str().to_string_lossy().into_owned());
        Self { room: room.unwrap_or_default(), parts: parts(text), path }
    }

    /// The code alone; comments and texts are blank.
    pub fn code(&self) -> String {
        let part = |(part, text): &(Part, String)| match part {
            Part::Code => text.clone(),
            Part::Comment | Part::Text => {
                text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
            }
        };
        self.parts.iter().map(part).collect()
    }

    /// Comments and texts.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let prose = self.parts.iter().filter(|(part, _)| *part != Part::Code);
        prose.map(|(_, text)| text.as_str())
    }

    /// Whether it holds nothing but tests.
    pub fn is_test(&self) -> bool {
        let is_test = |part: &std::ffi::OsStr| {
            Path::new(part).file_stem().is_some_and(|stem| stem == "tests" || stem == "conformance")
        };
        self.path.components().any(|part| is_test(part.as_os_str()))
    }
}

/// Parts in their order: together they are the text.
fn parts(text: &str) -> Vec<(Part, String)> {
    let mut parts = Vec::new();
    let (mut rest, mut code) = (text, String::new());
    while let Some(first) = rest.chars().next() {
        let (part, bytes) = if rest.starts_with("//") {
            (Part::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if let Some(bytes) = raw_text(rest, &code) {
            (Part::Text, bytes)
        } else if first == '"' {
            (Part::Text, quoted(rest))
        } else {
            let bytes = character(rest).unwrap_or(first.len_utf8());
            code.push_str(&rest[..bytes]);
            rest = &rest[bytes..];
            continue;
        };
        parts.push((Part::Code, std::mem::take(&mut code)));
        parts.push((part, rest[..bytes].to_owned()));
        rest = &rest[bytes..];
    }
    parts.push((Part::Code, code));
    parts
}

/// The bytes of a raw text that begins here.
fn raw_text(rest: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let quoted = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = quoted.len() - quoted.trim_start_matches('#').len();
    quoted[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = rest.len() - quoted.len() + hashes + 1;
    Some(begin + rest[begin..].find(&end)? + end.len())
}

/// The bytes of a text in quotes that begins here.
fn quoted(rest: &str) -> usize {
    let mut is_escaped = false;
    let end = rest.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

/// The bytes of a character's literal that begins here; none for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let end = match inner.strip_prefix('\\') {
        Some(escaped) => 2 + escaped.char_indices().nth(1)?.0 + escaped[1..].find('\'')?,
        None => 1 + inner.char_indices().nth(1)?.0,
    };
    (rest.as_bytes().get(end) == Some(&b'\'')).then_some(end + 1)
}

#[test]
fn code_is_told_from_comments_and_texts() {
    let text = r##"let a = "x // y\""; // "no"
let b = 'c'; let q = '"'; let e = '\''; fn f<'a>() {} r#"raw "in" it"#"##;
    let source = Source::new("src/hub/mod.rs".into(), text);
    assert_eq!(source.room, "hub");
    let prose: Vec<_> = source.prose().collect();
    assert_eq!(prose, [r#""x // y\"""#, r#"// "no""#, r##"r#"raw "in" it"#"##]);
    let code = source.code();
    assert_eq!(code.len(), text.len());
    assert!(code.contains("let q = '\"'; let e = '\\''; fn f<'a>() {}"), "{code}");
    assert!(!code.contains("in"), "{code}");
}
