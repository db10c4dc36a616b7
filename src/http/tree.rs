//! JSON as a tree that keeps nothing doubtful: no NUL, no duplicate key, no deep nesting, text in NFC.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use unicode_normalization::UnicodeNormalization;

use super::error::{FieldError, HttpError};

/// Objects and lists inside each other.
pub const DEPTH_MAX: usize = 32;

/// The whole text as one value; what is wrong is named by its path.
pub fn parse(text: &str) -> Result<Value, HttpError> {
    let mut path = Vec::new();
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = Strict { path: &mut path, depth: 0 }.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    parsed.map_err(|error| {
        let reason = error.to_string();
        let (line, column) = (("line", error.line().to_string()), ("column", error.column().to_string()));
        let (key, arguments, expected) = match () {
            () if reason.starts_with(TWICE) => ("http.field_twice", vec![], "expected once".to_owned()),
            () if reason.starts_with(NUL) => ("http.field_text", vec![], "expected text without NUL".to_owned()),
            () if reason.starts_with(DEEP) => {
                ("http.field_deep", vec![("max", DEPTH_MAX.to_string())], format!("expected at most {DEPTH_MAX} levels"))
            }
            // What this reader says quotes nothing.
            () => ("http.field_json", vec![line, column], format!("expected JSON: {reason}")),
        };
        HttpError::Invalid(vec![FieldError { field: written(&path), key, arguments: arguments.into_iter().collect(), expected }])
    })
}

/// The same value always gives the same bytes: keys in order, no spaces.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                write(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort();
            out.push(b'{');
            for key in keys {
                out.extend(Value::from(key.as_str()).to_string().into_bytes());
                out.push(b':');
                write(&members[key], out);
                out.push(b',');
            }
            out.push(b'}');
        }
        plain => out.extend(plain.to_string().into_bytes()),
    }
}

const TWICE: &str = "the key is given twice";
const NUL: &str = "text must not contain NUL";
const DEEP: &str = "nested too deep";

enum Step {
    Key(String),
    Index(usize),
}

fn written(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.extend([".", key]),
            Step::Index(index) => out.extend(["[", &index.to_string(), "]"]),
        }
    }
    out
}

/// Where the parser is; on an error the path stays as it was, so that it can be named.
struct Strict<'a> {
    path: &'a mut Vec<Step>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut list = Vec::new();
        loop {
            self.path.push(Step::Index(list.len()));
            let Some(item) = items.next_element_seed(Strict { path: self.path, depth })? else { break };
            self.path.pop();
            list.push(item);
        }
        self.path.pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            self.path.push(Step::Key(key.replace('\0', "?")));
            let key = text(&key)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(TWICE));
            }
            let value = members.next_value_seed(Strict { path: self.path, depth })?;
            self.path.pop();
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

fn deeper<E: serde::de::Error>(depth: usize) -> Result<usize, E> {
    if depth >= DEPTH_MAX { Err(E::custom(DEEP)) } else { Ok(depth + 1) }
}

fn text<E: serde::de::Error>(value: &str) -> Result<String, E> {
    if value.contains('\0') { Err(E::custom(NUL)) } else { Ok(value.nfc().collect()) }
}
