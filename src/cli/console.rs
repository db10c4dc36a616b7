//! The operator's screen: sentences in the language of the terminal, and what to do about each failure. A screen that is
//! closed or full changes nothing.

use std::env;
use std::io::Write;
use std::path::Path;

use super::why;
use crate::config::ConfigError;
use crate::domain::refusal::Refusal;
use crate::ingest::running::StartError as SensorsError;
use crate::mqtt::endpoint::StartError as EndpointError;
use crate::mqtt::endpoint::tls::CertificateError;
use crate::seal::SealError;
use crate::serve::StartError;
use crate::store::backup::BackupError;
use crate::store::open::OpenError;
use crate::{store, text};

/// Arguments or settings are wrong: nothing was tried.
const USAGE: u8 = 2;
/// It was tried and not done.
const NOT_DONE: u8 = 1;

/// Why a command ends, and with which code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub text: String,
}

impl Failure {
    pub fn new(text: String) -> Self {
        Self { code: NOT_DONE, text }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Console {
    locale: &'static str,
}

impl Console {
    /// Chinese, unless the terminal asks for English.
    pub fn from_environment() -> Self {
        Self { locale: locale(|name| env::var(name).ok()) }
    }

    #[cfg(test)]
    pub fn of(locale: &'static str) -> Self {
        Self { locale }
    }

    pub fn locale(self) -> &'static str {
        self.locale
    }

    pub fn render(self, key: &str, arguments: &[(&str, &str)]) -> String {
        text::render(self.locale, key, &arguments.iter().copied().collect())
    }

    /// To stdout.
    #[expect(clippy::unused_self, reason = "a sentence is said on a console, and the call reads so")]
    pub fn say(self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// To stderr, where it does not mix with an answer that a program reads.
    #[expect(clippy::unused_self, reason = "a sentence is said on a console, and the call reads so")]
    pub fn complain(self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    pub fn failure(self, key: &str, arguments: &[(&str, &str)]) -> Failure {
        Failure::new(self.render(key, arguments))
    }

    pub fn settings_failure(self, error: &ConfigError) -> Failure {
        Failure { code: USAGE, text: self.render("console.settings_wrong", &[("why", &error.text(self.locale))]) }
    }

    pub fn start_failure(self, error: &StartError) -> Failure {
        match error {
            StartError::Open(error) => self.open_failure(error),
            StartError::Store(error) => self.store_failure(error),
            StartError::Folder { path, source } | StartError::Key(SealError::File { path, source }) => self.file_failure(path, source),
            StartError::Key(error) => self.failure("console.key_wrong", &[("why", &self.render(why::key(error), &[]))]),
            StartError::KeyMissing { path } => self.failure("console.key_missing", &[("path", path)]),
            StartError::Outdated { pending } => self.failure("console.outdated", &[("pending", &pending.join(", "))]),
            StartError::Listen { key, address, source } => {
                let (address, why) = (address.to_string(), self.why(why::io(source), source));
                self.failure("console.listen_failed", &[("key", key), ("address", &address), ("why", &why)])
            }
            StartError::Sensors(error) => self.sensors_failure(error),
            StartError::ListenerEnded => self.failure("console.listener_ended", &[]),
            StartError::FileGone { path, rescued: Some(copy) } => self.failure("console.file_gone", &[("path", path), ("copy", copy)]),
            StartError::FileGone { path, rescued: None } => self.failure("console.file_lost", &[("path", path)]),
        }
    }

    fn sensors_failure(self, error: &SensorsError) -> Failure {
        match error {
            SensorsError::Endpoint(EndpointError::Listen { key, listen, source }) => {
                let (address, why) = (listen.to_string(), self.why(why::io(source), source));
                self.failure("console.listen_failed", &[("key", key), ("address", &address), ("why", &why)])
            }
            SensorsError::Endpoint(EndpointError::Certificate(error)) => self.certificate_failure(error),
            SensorsError::File { path, source } => self.file_failure(path, source),
            other => Failure { code: USAGE, text: self.render("console.settings_wrong", &[("why", &self.why(None, other))]) },
        }
    }

    fn certificate_failure(self, error: &CertificateError) -> Failure {
        match error {
            CertificateError::File { path, source } => self.file_failure(path, source),
            CertificateError::NoCertificate { path } => self.failure("console.no_certificate", &[("path", path)]),
            CertificateError::NoKey { path } => self.failure("console.no_private_key", &[("path", path)]),
            CertificateError::Unfit { path, source } => {
                self.failure("console.certificate_unfit", &[("path", path), ("why", &self.why(None, source))])
            }
        }
    }

    pub fn open_failure(self, error: &OpenError) -> Failure {
        match error {
            OpenError::Url { url } => Failure { code: USAGE, text: self.render("console.url_wrong", &[("url", url)]) },
            OpenError::InUse { path } => self.failure("console.in_use", &[("path", path)]),
            OpenError::Vanished { path, beside } => self.failure("console.vanished", &[("path", path), ("beside", beside)]),
            OpenError::Missing { path } => self.failure("console.no_database", &[("path", path)]),
            OpenError::File { path, source } => self.file_failure(path, source),
            OpenError::NotDurable { setting, value, needed } => {
                self.failure("console.not_durable", &[("setting", setting), ("value", value), ("needed", needed)])
            }
            OpenError::Database(error) => self.database_failure(error),
            OpenError::Migrate(error) => self.failure("console.migrate_failed", &[("why", &self.why(why::migration(error), error))]),
        }
    }

    pub fn store_failure(self, error: &store::Error) -> Failure {
        match error {
            store::Error::Refused(refusal) => Failure::new(self.refusal(refusal)),
            store::Error::Busy => self.failure("console.busy", &[]),
            store::Error::Database(error) | store::Error::Unknown(error) => self.database_failure(error),
            other @ store::Error::Broken { .. } => self.failure("console.database_failed", &[("why", &self.why(None, other))]),
        }
    }

    fn refusal(self, refusal: &Refusal) -> String {
        let sentence = text::render(self.locale, refusal.key, &refusal.arguments);
        refusal.field.as_ref().map_or(sentence.clone(), |field| format!("{field}: {sentence}"))
    }

    pub fn backup_failure(self, error: &BackupError) -> Failure {
        match error {
            BackupError::Open(error) => self.open_failure(error),
            BackupError::Exists { path } => self.failure("console.file_exists", &[("path", path)]),
            BackupError::File { path, source } => self.file_failure(path, source),
            BackupError::Damaged { path, why } => self.failure("console.damaged", &[("path", path), ("why", why)]),
            BackupError::Foreign { path } => self.failure("console.foreign", &[("path", path)]),
            BackupError::Newer { path } => self.failure("console.newer", &[("path", path)]),
            BackupError::NotEmpty => self.failure("console.not_empty", &[]),
            BackupError::NoTool { program, command } => self.failure("console.no_tool", &[("program", program), ("command", command)]),
            BackupError::Tool { program, why } => self.failure("console.tool_failed", &[("program", program), ("why", why)]),
            BackupError::Database(error) => self.database_failure(error),
        }
    }

    fn file_failure(self, path: &str, source: &std::io::Error) -> Failure {
        self.failure("console.file_failed", &[("path", path), ("why", &self.why(why::io(source), source))])
    }

    fn database_failure(self, error: &sqlx::Error) -> Failure {
        self.failure("console.database_failed", &[("why", &self.why(why::database(error), error))])
    }

    /// The known reason in the reader's words, with the system's own in the log; an unknown one can only be quoted.
    fn why(self, known: why::Known, error: &dyn std::fmt::Display) -> String {
        let Some(key) = known else { return self.render("why.said", &[("said", &error.to_string())]) };
        tracing::error!(why = %error, "what the system says about it");
        self.render(key, &[])
    }
}

/// The first of the variables that is set decides, in the order of POSIX.
fn locale(variable: impl Fn(&str) -> Option<String>) -> &'static str {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    text::locale(&set.unwrap_or_default())
}

/// This program as it was called, with its settings: what a printed command begins with.
pub fn program(config: Option<&Path>) -> String {
    let called = env::args().next().unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
    let mut words = quoted(&called);
    if let Some(file) = config {
        words.push_str(" --config ");
        words.push_str(&quoted(&file.to_string_lossy()));
    }
    words
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.chars().all(|letter| letter.is_alphanumeric() || "/._-+:".contains(letter));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_does_not_ask_for_english_reads_chinese() {
        for (variables, expected) in [
            (&[("LANG", "en_GB.UTF-8")][..], "en"),
            (&[("LANG", "zh_CN.UTF-8")], "zh-CN"),
            (&[("LANG", "C.UTF-8")], "zh-CN"),
            (&[], "zh-CN"),
            (&[("LC_ALL", "zh_CN.UTF-8"), ("LANG", "en_GB.UTF-8")], "zh-CN"),
            (&[("LC_ALL", ""), ("LANG", "en_GB.UTF-8")], "en"),
        ] {
            let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(locale(variable), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_printed_command_can_be_pasted_into_a_shell() {
        for (word, expected) in [("/usr/bin/chenlian", "/usr/bin/chenlian"), ("my file", "'my file'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(quoted(word), expected);
        }
    }
}
