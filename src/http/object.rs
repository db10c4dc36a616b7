//! A tree read into a request type as it is written: serde takes a list for an object whose fields come in order, at any depth, and
//! what nobody named must not be taken for a field.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// Reads objects from objects only.
pub struct Written(pub Value);

impl IntoDeserializer<'_, Error> for Written {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Written {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Written));
                let read = visitor.visit_seq(&mut items)?;
                items.end().map(|()| read)
            }
            Value::Object(members) => {
                let mut members = MapDeserializer::new(members.into_iter().map(|(key, value)| (key, Written(value))));
                let read = visitor.visit_map(&mut members)?;
                members.end().map(|()| read)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        if self.0.is_array() {
            return Err(Error::invalid_type(Unexpected::Seq, &"a map"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        number: u8,
        pair: Option<(i64, f64)>,
        inner: Option<Inner>,
        list: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        gas: String,
        fire: Option<bool>,
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let read = |value| Outer::deserialize(Written(value));
        let inner = Inner { gas: "ok".to_owned(), fire: Some(true) };
        let outer = Outer { number: 7, pair: Some((-1, 2.5)), inner: Some(inner), list: Vec::new() };
        assert_eq!(read(json!({"number": 7, "pair": [-1, 2.5], "inner": {"gas": "ok", "fire": true}, "list": []})).unwrap(), outer);
        for wrong in [
            json!([7, [-1, 2.5], null, []]),
            json!({"number": 7, "inner": ["ok", true], "list": []}),
            json!({"number": 7, "list": [["ok", true]]}),
            json!({"number": 7, "pair": [-1, 2.5, 3], "list": []}),
            json!({"number": 256, "list": []}),
            json!({"number": 7, "list": [], "more": 1}),
        ] {
            let shown = wrong.to_string();
            assert!(read(wrong).is_err(), "{shown}");
        }
    }
}
