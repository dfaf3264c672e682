//! Frames with placeholders, as transcripts write them.
//!
//! A placeholder is a JSON string of its own: `"<id>"`, or `"<id:a>"` to name what it stands for.

use std::collections::HashMap;

use narrowcast::domain::MessageId;
use serde_json::Value;

use super::tokens::{granting, token};

/// What the named placeholders of a transcript stand for.
#[derive(Default)]
pub struct Names(HashMap<String, Value>);

impl Names {
    /// A line as it is sent: placeholders that made a name, tokens and fillers replaced. The rest
    /// is left as it is, since it need not be JSON.
    pub fn fill(&self, line: &str) -> String {
        let mut filled = String::new();
        let mut rest = line;
        while let Some((before, placeholder, after)) = next_placeholder(rest) {
            filled += before;
            filled += &self.meaning(placeholder).to_string();
            rest = after;
        }
        filled + rest
    }

    fn meaning(&self, placeholder: &str) -> Value {
        if let Some(known) = self.0.get(placeholder) {
            return known.clone();
        }
        match placeholder.split_once(':') {
            Some(("token", user)) => token(user).into(),
            Some(("bare", user)) => granting(user, &[], &[]).into(),
            Some(("caller", user)) => granting(user, &["user.alice.>"], &[]).into(),
            Some(("filler", bytes)) => "x".repeat(bytes.parse().expect("a length")).into(),
            _ => panic!("`<{placeholder}>` stands for nothing yet"),
        }
    }

    /// Compares a frame with what a transcript expects, and learns names from it.
    pub fn compare(&mut self, expected: &Value, found: &Value) -> Result<(), String> {
        let differs = || Err(format!("expected {expected}\n   found {found}"));
        match (expected, found) {
            (Value::String(text), _) => match whole_placeholder(text) {
                Some(placeholder) => self.learn(placeholder, found),
                None if expected == found => Ok(()),
                None => differs(),
            },
            (Value::Array(wanted), Value::Array(list)) if wanted.len() == list.len() => {
                wanted.iter().zip(list).try_for_each(|(one, other)| self.compare(one, other))
            }
            (Value::Object(wanted), Value::Object(fields)) if wanted.len() == fields.len() => {
                wanted.iter().try_for_each(|(name, value)| match fields.get(name) {
                    Some(found) => self.compare(value, found),
                    None => differs(),
                })
            }
            _ if expected == found => Ok(()),
            _ => differs(),
        }
    }

    fn learn(&mut self, placeholder: &str, found: &Value) -> Result<(), String> {
        if let Some(known) = self.0.get(placeholder) {
            let same = known == found;
            return same.then_some(()).ok_or_else(|| {
                format!("expected {known}, which is `<{placeholder}>`\n   found {found}")
            });
        }
        let (kind, name) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let fits = match kind {
            "id" => found.as_str().is_some_and(|text| text.parse::<MessageId>().is_ok()),
            "number" => found.is_u64(),
            "text" => found.as_str().is_some_and(|text| !text.is_empty()),
            "any" => true,
            _ => return Err(format!("`<{placeholder}>` is no placeholder")),
        };
        if !fits {
            return Err(format!("expected `<{placeholder}>`\n   found {found}"));
        }
        if !name.is_empty() {
            self.0.insert(placeholder.to_owned(), found.clone());
        }
        Ok(())
    }
}

fn whole_placeholder(text: &str) -> Option<&str> {
    text.strip_prefix('<')?.strip_suffix('>')
}

/// What is before the next `"<…>"`, what is in it, and what comes after.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("\"<")?;
    let (placeholder, after) = rest.split_once(">\"")?;
    Some((before, placeholder, after))
}

#[test]
fn placeholders_compare_learn_and_fill() {
    let mut names = Names::default();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let frame = json(r#"{"a": 5, "b": ["x", {"c": null}]}"#);
    assert!(
        names.compare(&json(r#"{"a":"<number:n>","b":["<text>",{"c":"<any>"}]}"#), &frame).is_ok()
    );
    assert_eq!(names.fill(r#"{"n":"<number:n>","#), r#"{"n":5,"#);
    let wrong = [
        r#"{"a":5}"#,
        r#"{"a":5,"b":["x",{"d":null}]}"#,
        r#"{"a":5,"b":["x"]}"#,
        r#"{"a":"<id>","b":"<any>"}"#,
        r#"{"a":"<any>","b":["y","<any>"]}"#,
        r#"{"a":"<word>","b":"<any>"}"#,
    ];
    for expected in wrong {
        assert!(names.compare(&json(expected), &frame).is_err(), "{expected}");
    }
    assert!(names.compare(&json(r#""<number:n>""#), &json("6")).is_err(), "it was 5");
}
