//! A client frame as a list of raw fields. It is read in one pass and typed on demand, so that
//! every refusal can name its field and everything that is wrong with it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::ErrorReply;

/// More fields than any op has.
const FIELDS_MAX: usize = 16;

/// How much of a wrong value is repeated to the client.
const SHOWN_CHARS: usize = 40;

/// The fields of one object, not yet typed.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    list: SmallVec<[(Cow<'a, str>, &'a RawValue); 8]>,
}

impl<'a> Fields<'a> {
    /// Reads a frame. Nesting is bounded before anything is parsed: a raw value is skipped
    /// without recursion, so the parser's own limit would never see it.
    pub(super) fn read(text: &'a str, depth_max: usize) -> Result<Self, ErrorReply> {
        check_depth(text, depth_max, "frame")?;
        serde_json::from_str(text)
            .map_err(|error| ErrorReply::bad_request(format!("not a frame: {error}")))
    }

    /// Reads an object of an HTTP body, by the same rules.
    pub(super) fn read_body(text: &'a str, depth_max: usize) -> Result<Self, ErrorReply> {
        check_depth(text, depth_max, "body")?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let fields = (&mut parser)
            .deserialize_map(FieldsVisitor("an object"))
            .and_then(|fields| parser.end().map(|()| fields));
        fields.map_err(|error| ErrorReply::bad_request(format!("not a body: {error}")))
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.list.iter().position(|(key, _)| key == name)?;
        Some(self.list.swap_remove(at).1)
    }

    /// Whether a field is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(key, _)| key == name)
    }

    /// An optional field's raw JSON; `null` is a value like any other.
    pub(super) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.take(name)
    }

    /// An optional string.
    pub(super) fn string(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, ErrorReply> {
        self.typed(name, "a string", |raw| parse::<Text<'a>>(raw).map(|text| text.0))
    }

    /// An optional boolean.
    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ErrorReply> {
        self.typed(name, "true or false", parse)
    }

    /// An optional whole number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, ErrorReply> {
        self.typed(name, "a whole number", parse)
    }

    /// An optional list of strings.
    pub(super) fn strings(&mut self, name: &str) -> Result<Option<Vec<Cow<'a, str>>>, ErrorReply> {
        self.typed(name, "a list of strings", |raw| {
            parse::<Vec<Text<'a>>>(raw).map(|list| list.into_iter().map(|text| text.0).collect())
        })
    }

    /// An optional field, read by a function of its own; `null` counts as absent.
    pub(super) fn typed<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Result<Option<T>, ErrorReply> {
        let given = self.take(name).filter(|raw| raw.get() != "null");
        let Some(raw) = given else { return Ok(None) };
        read(raw).map(Some).ok_or_else(|| {
            ErrorReply::bad_request(format!("`{name}` must be {what}, not {}", shown(raw)))
        })
    }

    /// The names of the fields that were not read, clipped, in the order of the alphabet.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let mut names: Vec<String> =
            self.list.drain(..).map(|(name, _)| clip(&name).into_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Refuses fields that the op does not have.
    pub(super) fn finish(self) -> Result<(), ErrorReply> {
        match self.list.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(ErrorReply::bad_request(format!("`{}` is not a field of it", clip(name))))
            }
        }
    }
}

/// The refusal when a required field is missing.
pub(super) fn missing(name: &str) -> ErrorReply {
    ErrorReply::bad_request(format!("`{name}` is missing"))
}

fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
    }
}

fn shown(raw: &RawValue) -> Cow<'_, str> {
    clip(raw.get())
}

/// A string that is borrowed unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor("an object with `op`"))
    }
}

/// Reads fields. The text names what was expected where there are none.
struct FieldsVisitor(&'static str);

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        use serde::de::Error;
        let mut list = SmallVec::<[(Cow<'de, str>, &'de RawValue); 8]>::new();
        while let Some(Text(key)) = map.next_key()? {
            if list.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("`{}` is given twice", clip(&key))));
            }
            if list.len() == FIELDS_MAX {
                return Err(A::Error::custom(format!("more than {FIELDS_MAX} fields")));
            }
            list.push((key, map.next_value()?));
        }
        Ok(Fields { list })
    }
}

/// Bounds how deep objects and arrays nest, without recursion.
fn check_depth(text: &str, max: usize, what: &str) -> Result<(), ErrorReply> {
    // Nothing nests deeper than it has brackets, and to count them costs little beside a walk.
    if opening_brackets(text) <= max {
        return Ok(());
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if deepest <= max {
        return Ok(());
    }
    let message = format!("the {what} nests {deepest} levels, at most {max} are allowed");
    Err(ErrorReply::bad_request(message))
}

/// How many brackets open. Sums that fit a byte are what the compiler takes many bytes at a time for.
fn opening_brackets(text: &str) -> usize {
    const SUMMED: usize = u8::MAX as usize;
    let is_one = |byte: &u8| u8::from(matches!(byte, b'{' | b'['));
    let sum = |bytes: &[u8]| usize::from(bytes.iter().map(is_one).sum::<u8>());
    text.as_bytes().chunks(SUMMED).map(sum).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        Fields::read(text, 8).unwrap_err().message.into_owned()
    }

    #[test]
    fn refuses_what_is_no_object() {
        for text in ["", "[]", "1", "{", "{\"a\":}", "nonsense", "{\"op\":\"x\"} trailing"] {
            assert!(refusal(text).starts_with("not a frame: "), "{text}");
        }
    }

    #[test]
    fn refuses_a_field_that_stands_twice_however_it_is_spelled() {
        assert!(refusal(r#"{"op":"a","op":"b"}"#).contains("`op` is given twice"));
        assert!(refusal(r#"{"op":"a","\u006fp":"b"}"#).contains("`op` is given twice"));
    }

    #[test]
    fn bounds_depth_and_number() {
        let deep = format!(r#"{{"body":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(refusal(&deep), "the frame nests 10001 levels, at most 8 are allowed");
        assert!(Fields::read(r#"{"body":"[[[[[[[[[[{{{{\"[[["}"#, 8).is_ok(), "text does not nest");
        assert_eq!(opening_brackets(&"[{]".repeat(1000)), 2000);
        for (levels, is_fine) in [(7, true), (8, false)] {
            let text = format!(r#"{{"body":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
            assert_eq!(Fields::read(&text, 8).is_ok(), is_fine, "{levels} inside the frame");
        }
        let many: Vec<String> = (0..17).map(|n| format!(r#""f{n}":1"#)).collect();
        assert!(refusal(&format!("{{{}}}", many.join(","))).contains("more than 16 fields"));
    }

    #[test]
    fn wrong_types_name_the_field_and_the_value() {
        let mut fields = Fields::read(r#"{"a":5,"b":"x","c":[1],"d":null}"#, 8).unwrap();
        let message = |refusal: ErrorReply| refusal.message.into_owned();
        assert_eq!(message(fields.string("a").unwrap_err()), "`a` must be a string, not 5");
        assert_eq!(
            message(fields.number("b").unwrap_err()),
            "`b` must be a whole number, not \"x\""
        );
        assert_eq!(
            message(fields.strings("c").unwrap_err()),
            "`c` must be a list of strings, not [1]"
        );
        assert_eq!(fields.string("d").unwrap(), None);
        assert!(fields.finish().is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _answered = Fields::read(&text, 8);
        }
    }
}
