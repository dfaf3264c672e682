//! JSON compared by value: two spellings of one value are equal.
//!
//! Order of keys, spaces and escapes do not count, and `1`, `1.0` and `10e-1` are one number.
//! Numbers are compared as the decimals that they are written as: read into a double,
//! 9007199254740993 would be 9007199254740992. The form is only compared and hashed.

use serde::de::Error as _;

/// Returns a text that is the same for two JSON texts if, and only if, their values are. Text that
/// is not JSON is returned as it is.
pub fn canonical(json: &[u8]) -> Vec<u8> {
    let mut reader = Reader { rest: json };
    let mut form = Vec::with_capacity(json.len());
    match reader.value(&mut form) {
        Ok(()) if reader.peek().is_none() => form,
        _ => json.to_vec(),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, serde_json::Error>;

impl Reader<'_> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.peek() != Some(byte) {
            return Err(unexpected());
        }
        self.rest = &self.rest[1..];
        Ok(())
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.expect(byte).is_ok()
    }

    fn value(&mut self, form: &mut Vec<u8>) -> Read<()> {
        match self.peek() {
            Some(b'{') => self.object(form),
            Some(b'[') => self.array(form),
            Some(b'"') => self.string().map(|text| put_text(form, &text)),
            Some(b'-' | b'0'..=b'9') => {
                self.number(form);
                Ok(())
            }
            _ => self.literal(form),
        }
    }

    fn object(&mut self, form: &mut Vec<u8>) -> Read<()> {
        self.expect(b'{')?;
        let mut members = Vec::new();
        while !self.takes(b'}') {
            if !members.is_empty() {
                self.expect(b',')?;
            }
            let key = self.string()?;
            self.expect(b':')?;
            let mut value = Vec::new();
            self.value(&mut value)?;
            members.push((key, value));
        }
        // Members with one name keep their order.
        members.sort_by(|one, other| one.0.cmp(&other.0));
        form.push(b'{');
        for (key, value) in members {
            put_text(form, &key);
            form.extend_from_slice(&value);
        }
        form.push(b'}');
        Ok(())
    }

    fn array(&mut self, form: &mut Vec<u8>) -> Read<()> {
        self.expect(b'[')?;
        form.push(b'[');
        let mut is_first = true;
        while !self.takes(b']') {
            if !std::mem::take(&mut is_first) {
                self.expect(b',')?;
            }
            self.value(form)?;
        }
        form.push(b']');
        Ok(())
    }

    fn string(&mut self) -> Read<String> {
        if self.peek() != Some(b'"') {
            return Err(unexpected());
        }
        let mut is_escaped = false;
        let is_end = |byte: &u8| {
            let ends = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            ends
        };
        let end = self.rest[1..].iter().position(is_end).ok_or_else(unexpected)? + 2;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        serde_json::from_slice(text)
    }

    fn number(&mut self, form: &mut Vec<u8>) {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = self.rest.iter().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        put_decimal(form, text);
    }

    fn literal(&mut self, form: &mut Vec<u8>) -> Read<()> {
        for (text, letter) in [("true", b't'), ("false", b'f'), ("null", b'z')] {
            if let Some(rest) = self.rest.strip_prefix(text.as_bytes()) {
                self.rest = rest;
                form.push(letter);
                return Ok(());
            }
        }
        Err(unexpected())
    }
}

fn unexpected() -> serde_json::Error {
    serde_json::Error::custom("no JSON")
}

/// The length comes first, so that no text looks like the text after it.
fn put_text(form: &mut Vec<u8>, text: &str) {
    form.push(b'"');
    form.extend_from_slice(&(text.len() as u64).to_le_bytes());
    form.extend_from_slice(text.as_bytes());
}

/// Writes a decimal as its sign, its digits without zeros at either end, and the power of ten of
/// the last.
fn put_decimal(form: &mut Vec<u8>, text: &[u8]) {
    let (sign, text) = text.strip_prefix(b"-").map_or((b'+', text), |text| (b'-', text));
    let parts = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (digits, exponent) = parts.map_or((text, &b"0"[..]), |at| (&text[..at], &text[at + 1..]));
    let (whole, part) = match digits.iter().position(|byte| *byte == b'.') {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &b""[..]),
    };
    let digits = [whole, part].concat();
    let begin = digits.iter().take_while(|digit| **digit == b'0').count();
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    if begin == digits.len() {
        form.extend_from_slice(b"#0;");
        return;
    }
    let shift = zeros as i128 - part.len() as i128;
    form.extend_from_slice(&[b'#', sign]);
    form.extend_from_slice(&digits[begin..digits.len() - zeros]);
    let exponent = std::str::from_utf8(exponent).unwrap_or_default();
    let power = match exponent.parse::<i128>() {
        Ok(power) => format!("e{};", power.saturating_add(shift)),
        // The exponent is too large to compute with: it is compared as it is spelled.
        Err(_) => format!("E{exponent}{shift};"),
    };
    form.extend_from_slice(power.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn same(one: &str, other: &str) -> bool {
        canonical(one.as_bytes()) == canonical(other.as_bytes())
    }

    #[test]
    fn another_spelling_is_the_same() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("-0", "0.000"),
            ("100", "1E+2"),
            ("0.1", "0.10"),
            ("1e400", "10e399"),
            (r#""é\n""#, r#""\u00e9\u000a""#),
            (r#""😀""#, r#""\ud83d\ude00""#),
            (r#"{"a":1,"b":[true,null]}"#, r#" { "b" : [ true , null ] , "\u0061":1.0 } "#),
            ("[]", "[ ]"),
            ("{}", "{ }"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn another_value_is_another() {
        let all = [
            "9007199254740993",
            "9007199254740992",
            "9007199254740993.5",
            "1",
            "-1",
            "10",
            "0.1",
            "0",
            "\"1\"",
            "\"\"",
            "true",
            "false",
            "null",
            "[]",
            "[[]]",
            "[1,2]",
            "[2,1]",
            "[12]",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":1,"b":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"["a","b"]"#,
            r#"["a\",\"b"]"#,
            "1e99999999999999999999999999999999999999999999",
            "1e99999999999999999999999999999999999999999998",
        ];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert!(!same(one, other), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_json_stands_for_itself() {
        for text in ["", "{", "nul", "1 2", "\"\\", "[1,", "{\"a\"}", "\u{feff}1"] {
            assert_eq!(canonical(text.as_bytes()), text.as_bytes(), "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_equal_if_their_forms_are(one in any_value(), other in any_value()) {
            let form = |value: &Value| canonical(value.to_string().as_bytes());
            prop_assert_eq!(form(&one) == form(&other), one == other);
            let spaced = serde_json::to_string_pretty(&one).unwrap();
            prop_assert_eq!(form(&one), canonical(spaced.as_bytes()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _form = canonical(&bytes);
        }
    }
}
