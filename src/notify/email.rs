//! E-mail over SMTP (RFC 5321), one connection per message.
//!
//! `smtps://HOST:465` is TLS from the first byte; `smtp://HOST:587` must offer STARTTLS, or nothing is said there, the password least
//! of all. Only `allow_plain` leaves TLS out. `From` is the settings', `Message-ID` is made of the message's key and the domain of
//! `From`, `Date` is when it was sealed: a repeat is the same letter byte for byte, and many mailboxes show it once. `Auto-Submitted`
//! keeps answering machines quiet (RFC 3834). 250 after the end of the letter means accepted, not read.
//!
//! Before the letter has been sent whole, a broken link or 4xx means that it was certainly not accepted. 5xx to the letter or to its
//! recipient concerns this message alone; 5xx to the greeting, the password (535) or the sender concerns all. After the letter a
//! broken link leaves open whether it was accepted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::{Error, extension::ClientId};
use lettre::{Address, Message};

use super::Outgoing;
use super::note::Note;
use crate::config;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
/// The good-bye keeps nobody waiting.
const QUIT_SECONDS_MAX: u64 = 5;

/// Where letters are handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    /// TLS from the first byte, else STARTTLS.
    pub is_tls: bool,
}

impl Server {
    /// `smtps://HOST[:465]` or `smtp://HOST[:587]`; `None` for everything else, also with user or password in it.
    pub fn read(url: &str) -> Option<Self> {
        let url = reqwest::Url::parse(url).ok()?;
        let is_tls = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return None,
        };
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none() && matches!(url.path(), "" | "/");
        let host = url.host_str().filter(|host| is_bare && !host.is_empty())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: url.port().unwrap_or(if is_tls { 465 } else { 587 }), is_tls })
    }
}

/// The sender as the settings write it: an address, perhaps behind a name.
pub fn sender(from: &str) -> Option<Mailbox> {
    from.parse().ok().filter(|mailbox: &Mailbox| is_plain(&mailbox.email))
}

/// Letters of other alphabets in an address are a matter of servers (SMTPUTF8) that few have.
fn is_plain(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

#[derive(Debug, Clone)]
pub struct Email {
    account: Option<Arc<Account>>,
    attempt_timeout: Duration,
}

struct Account {
    server: Server,
    from: Mailbox,
    credentials: Option<Credentials>,
    tls: Option<TlsParameters>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Account {
    fn new(settings: &config::Email) -> Option<Self> {
        let server = Server::read(&settings.url)?;
        let needs_tls = server.is_tls || !settings.allow_plain;
        let tls = if needs_tls { Some(TlsParameters::new_rustls(server.host.clone()).ok()?) } else { None };
        let password = || settings.password.expose().to_owned();
        let credentials = (!settings.user.is_empty()).then(|| Credentials::new(settings.user.clone(), password()));
        Some(Self { server, from: sender(&settings.from)?, credentials, tls })
    }

    /// Ready for a letter.
    async fn connect(&self, timeout: Duration) -> Result<AsyncSmtpConnection, Outcome> {
        let hello = ClientId::Domain(self.from.email.domain().to_owned());
        let (host, port) = (self.server.host.as_str(), self.server.port);
        let tls = self.tls.clone().filter(|_| self.server.is_tls);
        let connected = AsyncSmtpConnection::connect_tokio1((host, port), Some(timeout), &hello, tls, None).await;
        let mut connection = connected.map_err(|error| of_account(&error))?;
        if let Some(tls) = self.tls.clone().filter(|_| !self.server.is_tls) {
            if !connection.can_starttls() {
                return Err(Outcome::new(OutcomeClass::Config, "no STARTTLS"));
            }
            connection.starttls(tls, &hello).await.map_err(|error| of_account(&error))?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&MECHANISMS, credentials).await.map_err(|error| of_account(&error))?;
        }
        Ok(connection)
    }

    fn letter(&self, note: &Note, to: Address, dedupe_key: &str) -> Option<Vec<u8>> {
        let id = format!("<{dedupe_key}@{}>", self.from.email.domain());
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let letter = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(note.title.clone())
            .date(SystemTime::from(DateTime::from_timestamp(note.at, 0)?))
            .message_id(Some(id))
            .raw_header(automatic)
            .singlepart(SinglePart::plain(note.body.clone()));
        Some(letter.ok()?.formatted())
    }
}

impl Email {
    pub fn new(settings: &config::Email, attempt_timeout: Duration) -> Self {
        Self { account: Account::new(settings).map(Arc::new), attempt_timeout }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let Some(account) = &self.account else {
            return Err(Outcome::new(OutcomeClass::Config, "not set up"));
        };
        let to = outgoing.address.trim().parse().ok().filter(is_plain);
        let to: Address = to.ok_or_else(|| Outcome::new(OutcomeClass::Permanent, "address unusable"))?;
        let letter = account.letter(&Note::open(outgoing)?, to.clone(), &outgoing.dedupe_key);
        let letter = letter.ok_or_else(|| Outcome::new(OutcomeClass::Broken, "letter cannot be written"))?;
        let mut connection = account.connect(self.attempt_timeout).await?;
        connection.command(Mail::new(Some(account.from.email.clone()), Vec::new())).await.map_err(|error| of_account(&error))?;
        connection.command(Rcpt::new(to, Vec::new())).await.map_err(|error| of_message(&error))?;
        connection.command(Data).await.map_err(|error| of_message(&error))?;
        let accepted = connection.message(&letter).await.map_err(|error| of_letter(&error));
        // Beside the answer: it is settled whatever becomes of the good-bye.
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(QUIT_SECONDS_MAX), connection.quit()).await;
        });
        accepted.map(|_| Outcome::sent(None))
    }
}

/// Before there is a letter: the server's "no" is to us.
fn of_account(error: &Error) -> Outcome {
    let is_ours = error.is_permanent() || error.is_client() || is_distrusted(error);
    let detail = if is_distrusted(error) { "certificate refused".to_owned() } else { detail(error) };
    Outcome::new(if is_ours { OutcomeClass::Config } else { OutcomeClass::SafeRetry }, detail)
}

/// Before the letter was written: it cannot have been accepted.
fn of_message(error: &Error) -> Outcome {
    // 530: the server wants a password that the settings do not have.
    let wants_password = error.status().is_some_and(|code| code.to_string() == "530");
    let class = if wants_password {
        OutcomeClass::Config
    } else if error.is_permanent() {
        OutcomeClass::Permanent
    } else {
        OutcomeClass::SafeRetry
    };
    Outcome::new(class, detail(error))
}

/// After the letter was written, at least in part.
fn of_letter(error: &Error) -> Outcome {
    if error.status().is_some() { of_message(error) } else { Outcome::new(OutcomeClass::Ambiguous, detail(error)) }
}

/// A number or a word: what a server says may hold the address.
fn detail(error: &Error) -> String {
    error.status().map_or_else(|| "link broke".to_owned(), |code| format!("status {code}"))
}

/// The server's certificate is not its own, or is none that this machine believes.
fn is_distrusted(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = inner.downcast_ref::<rustls::Error>() {
            return true;
        }
        let io = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = io.map_or_else(|| inner.source(), |wrapped| Some(wrapped as &dyn std::error::Error));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Secret};
    use crate::notify::note::Level;

    #[test]
    fn a_server_is_a_bare_address_that_says_how_it_is_encrypted() {
        let server = |host: &str, port, is_tls| Some(Server { host: host.to_owned(), port, is_tls });
        for (url, expected) in [
            ("smtps://mail.example.org", server("mail.example.org", 465, true)),
            ("smtps://mail.example.org:994/", server("mail.example.org", 994, true)),
            ("smtp://mail.example.org", server("mail.example.org", 587, false)),
            ("smtp://[::1]:25", server("::1", 25, false)),
            ("smtp://user:word@mail.example.org", None),
            ("https://mail.example.org", None),
            ("mail.example.org:465", None),
            ("smtp://mail.example.org/a", None),
            ("", None),
        ] {
            assert_eq!(Server::read(url), expected, "{url}");
        }
        assert!(sender("晨帘 <chenlian@example.org>").is_some());
        assert!(sender("chenlian@example.org").is_some());
        assert!(sender("晨帘").is_none());
    }

    #[test]
    fn a_letter_is_the_same_on_every_attempt_and_says_that_no_person_wrote_it() {
        let settings = config::Email {
            url: "smtps://mail.example.org".to_owned(),
            user: "u".to_owned(),
            password: Secret::new("horse battery"),
            from: "晨帘 <chenlian@example.org>".to_owned(),
            allow_plain: false,
        };
        let account = Account::new(&settings).unwrap();
        let note = Note {
            title: "还没有消息".to_owned(),
            body: "王师傅：3号楼2户今早还没有消息。\n.\n完".to_owned(),
            link: None,
            tag: "7".to_owned(),
            level: Level::Alert,
            at: 1_700_000_000,
            alerts: Vec::new(),
            is_over: false,
        };
        let letter = || account.letter(&note, "wang@example.org".parse().unwrap(), "msg_7").unwrap();
        assert_eq!(letter(), letter());
        let text = String::from_utf8(letter()).unwrap();
        for line in [
            "Message-ID: <msg_7@example.org>",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000",
            "Auto-Submitted: auto-generated",
            "To: wang@example.org",
            "Subject: =?utf-8?b?6L+Y5rKh5pyJ5raI5oGv?=",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line}: {text}");
        }
        assert!(text.is_ascii(), "no server needs 8BITMIME for it");
        assert!(!format!("{account:?}").contains("horse"), "no password where settings are shown");
        assert!(Account::new(&Config::defaults().channels.email).is_none());
    }
}
