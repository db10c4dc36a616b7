//! Every text that a person reads is in `locales/`, in both languages, with the same arguments; none is in the code.
//!
//! The files are named `area.LANGUAGE.yml`: one folder, a pair of files per area.

use super::source::{self, Source};
use super::walls::is_demo;
use std::collections::{BTreeMap, BTreeSet};

const LANGUAGES: [&str; 2] = ["zh-CN", "en"];

/// The texts of one language by key; what is not `key: "text"` is a finding.
fn texts(language: &str, file: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut texts = BTreeMap::new();
    let mut findings = Vec::new();
    for line in file.lines() {
        let is_entry = !line.is_empty() && !line.starts_with('#') && !line.starts_with("_version:");
        if !is_entry {
            continue;
        }
        let quoted = line.split_once(": ").and_then(|(key, text)| Some((key, text.strip_prefix('"')?.strip_suffix('"')?)));
        match quoted {
            None => findings.push(format!("locales/*{language}.yml: not `key: \"text\"`: {line}")),
            Some((key, "")) => findings.push(format!("locales/*{language}.yml: {key} has no text")),
            Some((key, text)) => {
                if texts.insert(key.to_owned(), text.to_owned()).is_some() {
                    findings.push(format!("locales/*{language}.yml: {key} for the second time"));
                }
            }
        }
    }
    (texts, findings)
}

/// The `%{name}` in a text.
fn arguments(text: &str) -> BTreeSet<&str> {
    text.split("%{").skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

fn language_findings(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<String> {
    let mut findings = Vec::new();
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    for key in keys {
        match (first.get(key), second.get(key)) {
            (Some(one), Some(other)) if arguments(one) != arguments(other) => {
                findings.push(format!("locales: {key} has other arguments in {} than in {}", LANGUAGES[0], LANGUAGES[1]));
            }
            (Some(_), Some(_)) => {}
            (None, _) => findings.push(format!("locales/*{}.yml: {key} is missing", LANGUAGES[0])),
            (_, None) => findings.push(format!("locales/*{}.yml: {key} is missing", LANGUAGES[1])),
        }
    }
    findings
}

/// The functions that turn a key into a sentence.
const RENDERERS: [&str; 4] = ["t!(", "plain(", "render(", "say("];

/// Keys written out in a call of one of the renderers that no language has.
fn key_findings(source: &Source, known: &BTreeMap<String, String>) -> Vec<String> {
    let mut findings = Vec::new();
    for call in RENDERERS {
        for at in source::positions(&source.code, call) {
            let end = at + call_length(&source.code[at..]);
            for literal in source.literals[at..end].split('"').skip(1).step_by(2) {
                if is_key(literal) && !known.contains_key(literal) {
                    findings.push(format!("{}:{}: no text for {literal}", source.path, source::line_of(&source.code, at)));
                }
            }
        }
    }
    findings
}

/// Up to the bracket that closes the first one.
fn call_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (index, letter) in code.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return index,
            ')' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// `area.name`, perhaps with more parts.
fn is_key(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    text.contains('.') && text.split('.').all(is_part)
}

fn is_chinese(letter: char) -> bool {
    matches!(letter, '\u{3000}'..='\u{303f}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
}

fn chinese_findings(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    if source::is_test_path(&source.path) || is_demo(&source.path) {
        return findings;
    }
    for (index, (literals, code)) in source.literals.lines().zip(source.code.lines()).enumerate() {
        if literals.chars().chain(code.chars()).any(is_chinese) {
            findings.push(format!("{}:{}: a text for people belongs in locales/", source.path, index + 1));
        }
    }
    findings
}

/// All texts of the first language by key.
pub fn chinese() -> BTreeMap<String, String> {
    whole(LANGUAGES[0]).0
}

/// The texts of all files of a language.
fn whole(language: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let ending = format!("{language}.yml");
    let files = source::files(&["locales"]).into_iter().filter(|file| file.path.ends_with(&ending));
    let text: Vec<String> = files.map(|file| file.text).collect();
    let (texts, odd) = texts(language, &text.join("\n"));
    assert!(!texts.is_empty(), "no text in locales/*{ending}");
    (texts, odd)
}

#[test]
fn every_text_is_there_in_both_languages() {
    let mut findings = Vec::new();
    let mut both = Vec::new();
    for language in LANGUAGES {
        let (texts, odd) = whole(language);
        findings.extend(odd);
        both.push(texts);
    }
    findings.extend(language_findings(&both[0], &both[1]));
    for source in source::rust_sources(&["src"]) {
        findings.extend(key_findings(&source, &both[0]));
    }
    super::assert_none(&findings);
}

#[test]
fn no_text_for_people_stands_in_the_code() {
    let mut findings = Vec::new();
    for source in source::rust_sources(&["src"]) {
        findings.extend(chinese_findings(&source));
    }
    super::assert_none(&findings);
}

#[test]
fn a_text_that_one_language_lacks_is_seen() {
    let base = "# a comment\n\n_version: 1\nalert.opened: \"%{name} : %{time}\"\n";
    let cases = [
        (base.to_owned(), 0),
        (base.replace("%{time}", "%{times}"), 1),
        (format!("{base}alert.closed: \"closed\"\n"), 1),
        (base.replace("alert.opened", "alert.shut"), 2),
        (format!("{base}alert.opened: \"again %{{name}} %{{time}}\"\n"), 1),
        (format!("{base}alert.none: \"\"\n"), 1),
        (format!("{base}alert:\n"), 1),
    ];
    let (first, _) = texts(LANGUAGES[0], base);
    for (text, expected) in cases {
        let (second, mut findings) = texts(LANGUAGES[1], &text);
        findings.extend(language_findings(&first, &second));
        assert_eq!(findings.len(), expected, "{text}: {findings:?}");
    }
}

#[test]
fn a_key_without_a_text_is_seen() {
    let (known, _) = texts(LANGUAGES[0], "alert.opened: \"x\"\n");
    let cases = [
        ("t!(\"alert.opened\", name = n)", 0),
        ("rust_i18n::t!(\n    \"alert.gone\"\n)", 1),
        ("text::plain(locale(x), \"alert.gone\")", 1),
        ("render(l, \"alert.opened\", &m(\"name\"))", 0),
        ("t!(key, locale = l)", 0),
        ("format!(\"alert.gone\")", 0),
    ];
    for (code, expected) in cases {
        assert_eq!(key_findings(&Source::of("src/notify/log.rs", code), &known).len(), expected, "{code}");
    }
}

#[test]
fn a_chinese_text_in_the_code_is_seen() {
    let cases = [
        ("src/notify/log.rs", "let a = \"待上门\";", 1),
        ("src/notify/log.rs", "let a = '，';", 1),
        ("src/notify/log.rs", "let a = 1; // 待上门", 0),
        ("src/notify/log.rs", "#[cfg(test)]\nmod tests { const A: &str = \"待上门\"; }", 0),
        ("src/demo/street.rs", "let a = \"待上门\";", 0),
        ("src/store/tests.rs", "let a = \"待上门\";", 0),
    ];
    for (path, code, expected) in cases {
        assert_eq!(chinese_findings(&Source::of(path, code)).len(), expected, "{path}: {code}");
    }
}
