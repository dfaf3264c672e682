//! Frames of transcripts with values for their placeholders. The values are of the right kind, and
//! their meaning does not matter here.

use serde_json::{Map, Value, json};

const ID: &str = "019a20bb-7312-71f7-8000-000000000005";

/// A line that a client sends. It need not be JSON.
pub fn sent(line: &str) -> String {
    let mut filled = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\"<") {
        let Some((placeholder, after)) = after.split_once(">\"") else { break };
        filled += before;
        filled += &value(placeholder, None).to_string();
        rest = after;
    }
    filled + rest
}

/// A frame that a client receives. Placeholders of any kind stand for what an example has there.
pub fn received(frame: &Value, example: Option<&Value>) -> Value {
    match frame {
        Value::String(text) => match text.strip_prefix('<').and_then(|it| it.strip_suffix('>')) {
            Some(placeholder) => value(placeholder, example),
            None => frame.clone(),
        },
        Value::Array(items) => {
            // Any item of the example will do.
            let example = example.and_then(|list| list.get(0));
            items.iter().map(|item| received(item, example)).collect()
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                (name.clone(), received(value, example.and_then(|it| it.get(name))))
            };
            Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        _ => frame.clone(),
    }
}

fn value(placeholder: &str, example: Option<&Value>) -> Value {
    let (kind, rest) = placeholder.split_once(':').unwrap_or((placeholder, ""));
    match kind {
        "id" => json!(ID),
        "number" => json!(1),
        "filler" => json!("x".repeat(rest.parse().expect("a length"))),
        _ => example.cloned().unwrap_or_else(|| json!("text")),
    }
}
