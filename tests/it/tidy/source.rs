//! Reads the project's files and takes a Rust file apart into what is code and what is only text.
//!
//! The rules look for words, so a word inside a comment or a string must not count as code, and the tests inside a
//! source file must not count as the program. All views have the length and the lines of the file itself.

use std::fs;
use std::path::{Path, PathBuf};

/// One file, its path relative to the project with `/` between the parts.
pub struct File {
    pub path: String,
    pub text: String,
}

/// A Rust file in two views: what the compiler acts on, and what is inside its string literals.
pub struct Source {
    pub path: String,
    pub code: String,
    pub literals: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below the folders and files named, in a stable order.
pub fn files(places: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    for place in places {
        collect(&root().join(place), &mut found);
    }
    found.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
    found
}

fn collect(place: &Path, found: &mut Vec<File>) {
    if place.is_dir() {
        let entries = fs::read_dir(place).expect("a folder of the project is readable");
        for entry in entries {
            collect(&entry.expect("a folder of the project is readable").path(), found);
        }
    } else if let Ok(text) = fs::read_to_string(place) {
        let inside = place.strip_prefix(root()).expect("only files of the project are read");
        found.push(File { path: inside.to_string_lossy().replace('\\', "/"), text });
    }
}

pub fn rust_sources(places: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for file in files(places) {
        if has_ending(&file.path, "rs") {
            sources.push(Source::of(&file.path, &file.text));
        }
    }
    assert!(!sources.is_empty(), "no Rust file under {places:?}: the checks would guard nothing");
    sources
}

pub fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

/// Whether a whole file is a test, by where it stands.
pub fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

impl Source {
    /// Takes the file apart and leaves out its `#[cfg(test)]` items.
    pub fn of(path: &str, text: &str) -> Source {
        let (mut code, mut literals) = split(text);
        for (from, to) in test_items(&code) {
            blank(&mut code, from, to);
            blank(&mut literals, from, to);
        }
        let text = |bytes| String::from_utf8(bytes).expect("blanking replaces whole characters");
        Source { path: path.to_owned(), code: text(code), literals: text(literals) }
    }
}

/// The line number of a byte position, counted from one.
pub fn line_of(text: &str, position: usize) -> usize {
    text[..position].matches('\n').count() + 1
}

/// Where `word` stands in `code` as a whole word: `rand` is not found in `operand`.
pub fn positions(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let joins = |edge: Option<u8>, beyond: Option<&u8>| edge.is_some_and(is_name) && beyond.is_some_and(|b| is_name(*b));
    let mut found = Vec::new();
    for (at, _) in code.match_indices(word) {
        let before = at.checked_sub(1).and_then(|index| bytes.get(index));
        let after = bytes.get(at + word.len());
        if !joins(word.bytes().next(), before) && !joins(word.bytes().last(), after) {
            found.push(at);
        }
    }
    found
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank(bytes: &mut [u8], from: usize, to: usize) {
    for byte in &mut bytes[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// The file as (code without comments and literal contents, literal contents only).
fn split(text: &str) -> (Vec<u8>, Vec<u8>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (end, is_literal) = if rest.starts_with("//") {
            (at + rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (at + block_comment_length(rest), false)
        } else if let Some(length) = literal_length(rest, at.checked_sub(1).map(|index| bytes[index])) {
            (at + length, true)
        } else {
            let end = at + rest.chars().next().map_or(1, char::len_utf8);
            blank(&mut literals, at, end);
            at = end;
            continue;
        };
        blank(&mut code, at, end);
        if !is_literal {
            blank(&mut literals, at, end);
        }
        at = end;
    }
    (code, literals)
}

/// Block comments nest in Rust.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of the string or character literal that begins here, quotes included.
fn literal_length(rest: &str, before: Option<u8>) -> Option<usize> {
    if rest.starts_with('"') {
        return Some(quoted_length(rest, b'"'));
    }
    if rest.starts_with('r') && !before.is_some_and(|byte| is_name(byte) && byte != b'b' && byte != b'c') {
        let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = 2 + hashes;
            return Some(rest[open..].find(&close).map_or(rest.len(), |length| open + length + close.len()));
        }
    }
    // A quote is a character if it closes again, a lifetime if not.
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(quoted_length(rest, b'\''));
    }
    inside[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

fn quoted_length(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The byte ranges of the items that only tests compile.
fn test_items(code: &[u8]) -> Vec<(usize, usize)> {
    const MARK: &[u8] = b"#[cfg(test)]";
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(offset) = code[from..].windows(MARK.len()).position(|window| window == MARK) {
        let start = from + offset;
        let mut depth = 0_usize;
        let mut end = code.len();
        for (index, byte) in code.iter().enumerate().skip(start + MARK.len()) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(byte, b'}' | b';') {
                end = index + 1;
                break;
            }
        }
        items.push((start, end));
        from = end;
    }
    items
}

#[test]
fn a_word_in_a_comment_or_a_string_is_not_code() {
    let cases = [
        ("let a = b;", "let a = b;", ""),
        ("a // b\nc", "a     \nc", ""),
        ("a /* b /* c */ d */ e", "a                   e", ""),
        (r#"f("x\"y") z"#, "f(      ) z", r#""x\"y""#),
        (r##"f(r#"x"y"#) z"##, "f(        ) z", r##"r#"x"y"#"##),
        ("f('\"', 'a') z", "f(   ,    ) z", "'\"'  'a'"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", ""),
        ("a #[cfg(test)] mod t { x; { y } } b", "a                                 b", ""),
        ("a\n#[cfg(test)]\nmod t;\nb", "a\n            \n      \nb", ""),
    ];
    for (text, code, literals) in cases {
        let source = Source::of("src/a.rs", text);
        assert_eq!((source.code.as_str(), source.literals.trim()), (code, literals), "{text}");
    }
}

#[test]
fn a_word_is_found_only_as_a_whole() {
    let cases: [(&str, &str, &[usize]); 4] =
        [("rand operand rand_x rand", "rand", &[0, 20]), ("Utc::now()", "Utc::now", &[0]), ("x.await?", ".await", &[1]), ("", "a", &[])];
    for (code, word, expected) in cases {
        assert_eq!(positions(code, word), expected, "{word} in {code}");
    }
}
