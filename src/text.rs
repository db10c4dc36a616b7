//! Every sentence that a person reads: key and arguments, looked up in `locales/`. zh-CN is the default, en stands beside it.

use std::collections::BTreeMap;

pub const DEFAULT_LOCALE: &str = "zh-CN";
pub const LOCALES: [&str; 2] = ["zh-CN", "en"];

/// The nearest locale that we speak: `en-GB` is `en`, anything unknown is Chinese.
pub fn locale(wanted: &str) -> &'static str {
    if wanted.to_ascii_lowercase().starts_with("en") { "en" } else { DEFAULT_LOCALE }
}

/// The sentence of a key with `%{name}` filled in. A key that is missing shows itself, and a test finds it first.
pub fn render<K: AsRef<str>, V: AsRef<str>>(locale: &str, key: &str, arguments: &BTreeMap<K, V>) -> String {
    let mut text = rust_i18n::t!(key, locale = locale).into_owned();
    for (name, value) in arguments {
        text = text.replace(&format!("%{{{}}}", name.as_ref()), value.as_ref());
    }
    text
}

/// A sentence without arguments.
pub fn plain(locale: &str, key: &str) -> String {
    rust_i18n::t!(key, locale = locale).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_filled_in_and_other_locales_fall_back_to_chinese() {
        let arguments = BTreeMap::from([("days", "14")]);
        assert!(render("zh-CN", "problem.return_date_range", &arguments).contains("14"));
        assert_eq!(locale("en-GB"), "en");
        assert_eq!(locale("fr"), "zh-CN");
        assert_ne!(plain("en", "problem.not_found"), plain("zh-CN", "problem.not_found"));
    }
}
