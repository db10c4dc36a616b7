//! Strict JSON for payloads that anybody near a gateway can influence: bounded depth and number of keys, no duplicate keys, no
//! byte order mark, no trailing bytes. Two parsers that disagree about a duplicate key are a way to smuggle a state past a check.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Nesting of objects and arrays.
const DEPTH_MAX: usize = 32;
/// Keys in all objects together.
const KEYS_MAX: usize = 512;
/// Characters of one number; longer ones exist only to hurt a parser.
const NUMBER_BYTES_MAX: usize = 64;

/// Reads one JSON value that fills the whole payload.
pub fn parse(payload: &[u8]) -> Result<Value, serde_json::Error> {
    let text = std::str::from_utf8(payload).map_err(serde_json::Error::custom)?;
    if has_long_number(text) {
        return Err(serde_json::Error::custom("number too long"));
    }
    let mut keys_left = KEYS_MAX;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { depth_left: DEPTH_MAX, keys_left: &mut keys_left }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// True if, outside strings, more than 64 bytes of digits, signs, points and exponents stand together.
fn has_long_number(text: &str) -> bool {
    let mut in_string = false;
    let mut escaped = false;
    let mut run = 0;
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        in_string = byte == b'"';
        run = if matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') { run + 1 } else { 0 };
        if run > NUMBER_BYTES_MAX {
            return true;
        }
    }
    false
}

struct Strict<'k> {
    depth_left: usize,
    keys_left: &'k mut usize,
}

impl Strict<'_> {
    fn inner<E: Error>(&mut self) -> Result<Strict<'_>, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Strict { depth_left, keys_left: self.keys_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            *self.keys_left = self.keys_left.checked_sub(1).ok_or_else(|| A::Error::custom("too many keys"))?;
            let value = map.next_value_seed(self.inner()?)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_json_is_refused_and_plain_json_is_read() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let keys = |count| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(","));
        let number = |digits| format!("{{\"a\":{}}}", "1".repeat(digits));
        let cases = [
            ("{\"contact\":true,\"n\":[1,-2,0.5,null,\"晨帘\"]}".to_owned(), true),
            (nested(32), true),
            (nested(33), false),
            (nested(10_000), false),
            (keys(512), true),
            (keys(513), false),
            (number(64), true),
            (number(65), false),
            (format!("{{\"a\":\"{}\"}}", "1".repeat(65)), true),
            (format!("{{\"a\\\\\\\"\":\"{}\\\\\"}}", "1".repeat(65)), true),
            ("{\"contact\":true,\"contact\":false}".to_owned(), false),
            ("{\"a\":{\"b\":1,\"b\":1}}".to_owned(), false),
            ("\u{feff}{}".to_owned(), false),
            ("{} {}".to_owned(), false),
            ("{\"a\":NaN}".to_owned(), false),
            ("{\"a\":Infinity}".to_owned(), false),
            ("{\"a\":1e999}".to_owned(), false),
            ("{\"a\":1".to_owned(), false),
            ("{'a':1}".to_owned(), false),
            (String::new(), false),
        ];
        for (text, readable) in cases {
            let shown: String = text.chars().take(60).collect();
            assert_eq!(parse(text.as_bytes()).is_ok(), readable, "{shown}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }
    }
}
