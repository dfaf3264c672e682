//! The description, and the schemas in it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// Who sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    /// The schema of its frames, and how the names of their messages end.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Client => ("ClientFrame", "Op"),
            Self::Server => ("ServerFrame", "Frame"),
        }
    }
}

pub struct Document {
    value: Value,
    /// The messages by side and op.
    messages: HashMap<(Side, String), String>,
    validators: HashMap<String, Validator>,
}

impl Document {
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/asyncapi.yaml");
        let text = fs::read_to_string(path).expect("the description");
        let value: Value = serde_saphyr::from_str(&text).expect("YAML");
        let mut document = Self { value, messages: HashMap::new(), validators: HashMap::new() };
        document.index(Side::Client);
        document.index(Side::Server);
        document
    }

    /// Finds the messages of a side. Each is in the union of its side and on the channel, and its
    /// payload is the schema of its name.
    fn index(&mut self, side: Side) {
        let (union, suffix) = side.names();
        let mut members = BTreeSet::new();
        for member in self.value["components"]["schemas"][union]["oneOf"].as_array().expect("it") {
            let pointer = member["$ref"].as_str().expect("a reference");
            let key = pointer.strip_prefix("#/components/schemas/").expect("a schema").to_owned();
            let message = &self.value["components"]["messages"][&key];
            assert_eq!(message["payload"]["$ref"], *pointer, "{key}");
            let on_channel = &self.value["channels"]["session"]["messages"][&key]["$ref"];
            assert_eq!(*on_channel, format!("#/components/messages/{key}"));
            let name = message["name"].as_str().expect("a name").to_owned();
            let schema = &self.value["components"]["schemas"][&key];
            assert_eq!(schema["properties"]["op"]["const"], *name, "{key}");
            self.validators.insert(key.clone(), self.validator(pointer));
            self.messages.insert((side, name), key.clone());
            members.insert(key);
        }
        let messages = self.value["components"]["messages"].as_object().expect("messages");
        let all = messages.keys().filter(|key| key.ends_with(suffix)).cloned().collect();
        assert_eq!(members, all, "{union} has every message");
    }

    fn validator(&self, pointer: &str) -> Validator {
        let schema = json!({ "$ref": pointer, "components": self.value["components"] });
        jsonschema::options().with_draft(Draft::Draft7).build(&schema).expect("a schema")
    }

    /// The ops of a side.
    pub fn names(&self, side: Side) -> BTreeSet<String> {
        self.messages.keys().filter(|(is, _)| *is == side).map(|(_, name)| name.clone()).collect()
    }

    fn key(&self, side: Side, name: &str) -> Option<&str> {
        self.messages.get(&(side, name.to_owned())).map(String::as_str)
    }

    /// The example of an op.
    pub fn example(&self, side: Side, name: &str) -> &Value {
        let key = self.key(side, name).unwrap_or_else(|| panic!("`{name}` is not described"));
        &self.value["components"]["messages"][key]["examples"][0]["payload"]
    }

    /// The fields that an op needs.
    pub fn required(&self, side: Side, name: &str) -> Vec<String> {
        let key = self.key(side, name).expect("it is described");
        let required = self.value["components"]["schemas"][key]["required"].as_array();
        let names = required.expect("a list").iter();
        names.map(|name| name.as_str().expect("a name").to_owned()).collect()
    }

    /// Holds a frame against the schema of its op.
    pub fn check(&self, side: Side, frame: &Value) -> Result<(), String> {
        let name = frame["op"].as_str().ok_or("it has no `op`")?;
        let key = self.key(side, name).ok_or("its `op` is not described")?;
        let found = self.validators[key].iter_errors(frame);
        let errors: Vec<String> =
            found.map(|error| format!("{}: {error}", error.instance_path())).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    /// The fields of an object.
    pub fn properties(&self, schema: &str) -> BTreeSet<String> {
        let properties = self.value["components"]["schemas"][schema]["properties"].as_object();
        properties.expect("properties").keys().cloned().collect()
    }

    /// The constants that a schema lists.
    pub fn constants(&self, schema: &str) -> BTreeSet<String> {
        let values = self.value["components"]["schemas"][schema]["oneOf"].as_array();
        let values = values.expect("constants").iter().map(|value| &value["const"]);
        values.map(|value| value.as_str().expect("a text").to_owned()).collect()
    }

    /// The close codes that are described.
    pub fn close_codes(&self) -> Vec<u64> {
        let closes = self.value["channels"]["session"]["x-close-codes"].as_array();
        let closes = closes.expect("close codes").iter();
        closes.map(|close| close["code"].as_u64().expect("a number")).collect()
    }
}
