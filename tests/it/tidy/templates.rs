//! Pages say nothing of their own: every word of a template or a script comes from `locales/`, and every key that one names is
//! there. Nothing runs or looks by an attribute, which the content policy would refuse.

use super::source::{self, File};
use super::texts;
use std::collections::BTreeMap;

/// What stands between `open` and `close`, each with its position.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(from) = text[at..].find(open).map(|index| at + index + open.len()) {
        let Some(length) = text[from..].find(close) else { break };
        found.push((from, &text[from..from + length]));
        at = from + length + close.len();
    }
    found
}

/// The same text with everything between `open` and `close` as spaces, so that positions stay.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut left = text.to_owned();
    for (from, inside) in between(text, open, close) {
        let (from, to) = (from - open.len(), from + inside.len() + close.len());
        let blank: String = text[from..to]
            .chars()
            .flat_map(|letter| std::iter::repeat_n(if letter == '\n' { '\n' } else { ' ' }, letter.len_utf8()))
            .collect();
        left.replace_range(from..to, &blank);
    }
    left
}

fn key_findings(file: &File, known: &BTreeMap<String, String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, rest) in between(&file.text, "say(\"", "\"") {
        if !known.contains_key(rest) {
            findings.push(format!("{}:{}: no text for {rest}", file.path, source::line_of(&file.text, at)));
        }
    }
    findings
}

/// Attributes whose value a person reads or hears.
const SPOKEN: [&str; 5] = ["title=\"", "placeholder=\"", "alt=\"", "aria-label=\"", "label=\""];
/// Attributes that the content policy refuses, or that are a script.
const REFUSED: [&str; 5] = [" style=\"", " onclick=\"", " onsubmit=\"", " onchange=\"", " hx-on"];

fn template_findings(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    let mut say = |at: usize, what: &str| findings.push(format!("{}:{}: {what}", file.path, source::line_of(&file.text, at)));
    let spoken = without(&without(&without(&file.text, "{#", "#}"), "{%", "%}"), "{{", "}}");
    let words = without(&spoken, "<", ">");
    for (at, letter) in words.char_indices() {
        let is_first = words[..at].chars().next_back().is_none_or(|before| !before.is_alphabetic());
        if letter.is_alphabetic() && is_first {
            say(at, "a word for people belongs in locales/");
        }
    }
    for attribute in SPOKEN {
        for (at, value) in between(&spoken, attribute, "\"") {
            if value.chars().any(char::is_alphabetic) {
                say(at, "a word for people belongs in locales/");
            }
        }
    }
    for attribute in REFUSED {
        if let Some(at) = file.text.find(attribute) {
            say(at, "the content policy refuses this attribute");
        }
    }
    if file.text.contains("|safe") && !file.path.ends_with("sheet.html") {
        say(file.text.find("|safe").unwrap_or_default(), "unescaped: only pictures made by us, in a template of their own");
    }
    findings
}

/// Strings of a script that a person could read: Chinese, or words with a space between them.
fn script_findings(file: &File) -> Vec<String> {
    let is_chinese = |letter: char| matches!(letter, '\u{3000}'..='\u{303f}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}');
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let code = if line.trim_start().starts_with("//") { "" } else { line };
        if code.chars().any(is_chinese) {
            findings.push(format!("{}:{}: a text for people belongs in locales/", file.path, number + 1));
        }
    }
    findings
}

#[test]
fn no_page_says_a_word_that_is_not_in_both_languages() {
    let known = texts::chinese();
    let mut findings = Vec::new();
    for file in source::files(&["templates"]) {
        if source::has_ending(&file.path, "html") {
            findings.extend(key_findings(&file, &known));
            findings.extend(template_findings(&file));
        }
    }
    for file in source::files(&["static"]) {
        if source::has_ending(&file.path, "js") && !file.path.contains("/vendor/") {
            findings.extend(script_findings(&file));
        }
    }
    super::assert_none(&findings);
}

#[test]
fn a_word_in_a_template_is_seen() {
    let known = BTreeMap::from([("page.name".to_owned(), "晨帘".to_owned())]);
    let cases = [
        ("<h1>{{ frame.say(\"page.name\") }}</h1>", 0),
        ("<h1>{{ frame.say(\"page.gone\") }}</h1>", 1),
        ("<h1 class=\"x\">晨帘</h1>", 1),
        ("<h1>Hello</h1>", 1),
        ("{% if x == \"open\" %}<p>12:00</p>{% endif %}", 0),
        ("<img alt=\"a window\">", 1),
        ("<input placeholder=\"{{ frame.say(\"page.name\") }}\">", 0),
        ("<p style=\"color: red\"></p>", 1),
        ("{# a remark #}<p></p>", 0),
    ];
    for (text, expected) in cases {
        let file = File { path: "templates/x.html".to_owned(), text: text.to_owned() };
        let findings = [key_findings(&file, &known), template_findings(&file)].concat();
        assert_eq!(findings.len(), expected, "{text}: {findings:?}");
    }
    for (text, expected) in [("say(\"offline\");", 0), ("alert(\"没有网\");", 1), ("// 没有网", 0)] {
        let file = File { path: "static/x.js".to_owned(), text: text.to_owned() };
        assert_eq!(script_findings(&file).len(), expected, "{text}");
    }
}

/// What the WebView of WeChat, which is that of Chromium 107, does not know: it would read a page without its style, or none of a
/// script. Each with the version that brought it.
const TOO_NEW: [(&str, u32); 24] = [
    (".toSorted(", 110),
    (".toReversed(", 110),
    (".toSpliced(", 110),
    (".isWellFormed(", 111),
    (".showPopover(", 114),
    (" popover=", 114),
    ("Object.groupBy", 117),
    ("Map.groupBy", 117),
    ("Promise.withResolvers", 119),
    ("Promise.try", 128),
    ("URL.canParse", 120),
    ("Array.fromAsync", 121),
    ("Iterator.from", 122),
    ("dvh", 108),
    ("svh", 108),
    ("lvh", 108),
    ("rlh", 111),
    ("color-mix(", 111),
    ("&:", 112),
    ("text-wrap:", 114),
    ("subgrid", 117),
    ("@starting-style", 117),
    (":user-invalid", 119),
    ("light-dark(", 123),
];

fn too_new(file: &File) -> Vec<String> {
    let new = TOO_NEW.iter().filter_map(|(word, version)| file.text.find(word).map(|at| (at, *word, *version)));
    new.map(|(at, word, version)| format!("{}:{}: {word} needs Chromium {version}", file.path, source::line_of(&file.text, at))).collect()
}

#[test]
fn pages_use_nothing_that_the_browser_inside_of_wechat_does_not_know() {
    let files = source::files(&["static", "templates"]).into_iter().filter(|file| !file.path.contains("/vendor/"));
    super::assert_none(&files.flat_map(|file| too_new(&file)).collect::<Vec<_>>());
    for (text, expected) in
        [("list.toSorted()", 1), ("height: 100dvh", 1), ("a { &:hover {} }", 1), ("list.slice().sort()", 0), ("x && y", 0)]
    {
        let file = File { path: "static/x".to_owned(), text: text.to_owned() };
        assert_eq!(too_new(&file).len(), expected, "{text}");
    }
}
