//! A secret of the settings: typed as it is, or as `file:PATH`. It is never printed, not even by `{:?}`.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FILE: &str = "file:";
const HIDDEN: &str = "(hidden)";

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { HIDDEN })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { HIDDEN })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = String::deserialize(deserializer)?;
        let Some(path) = typed.strip_prefix(FILE) else { return Ok(Self(typed)) };
        let text = std::fs::read_to_string(Path::new(path)).map_err(serde::de::Error::custom)?;
        Ok(Self(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_its_text_or_a_file_and_is_never_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "horse battery\n").unwrap();
        for typed in ["horse battery".to_owned(), format!("file:{}", file.path().display())] {
            let secret: Secret = serde_json::from_value(serde_json::Value::from(typed)).unwrap();
            assert_eq!(secret.expose(), "horse battery");
            assert!(!format!("{secret:?}{}", serde_json::to_string(&secret).unwrap()).contains("horse"));
        }
        serde_json::from_str::<Secret>("\"file:/no/such/file\"").unwrap_err();
    }
}
