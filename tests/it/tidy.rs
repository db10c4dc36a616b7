//! Keeps the project in the shape that ARCHITECTURE.md promises, by reading its own files as text.
//!
//! Each check is a function from text to findings, and each has a test on made-up text that proves it would speak:
//! a check that cannot fail guards nothing. The findings name file, line and rule, so that a red test tells what to do.

mod layout;
mod map;
mod schema;
mod source;
mod templates;
mod texts;
mod walls;

/// Fails with one line per finding.
#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
