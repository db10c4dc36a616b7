//! E-mail: over a real mail server, which delivers it, and over a server that says and breaks what it is told.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chenlian::config::{Config, Secret};
use chenlian::domain::message::Channel;
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::domain::rules::Span;
use chenlian::notify::Outgoing;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::mail_server::MailServer;
use super::{brief, notifier, outgoing, repeated, sealed};

const TEXT: &str = "王师傅：3号楼2户今早还没有消息。";
const ID: &str = "<msg_00000000000000000000000000000007@example.org>";

fn settings(config: &mut Config, url: &str, password: &str) {
    let email = &mut config.channels.email;
    url.clone_into(&mut email.url);
    "晨帘 <chenlian@example.org>".clone_into(&mut email.from);
    "chenlian".clone_into(&mut email.user);
    email.password = Secret::new(password);
}

fn message(to: &str) -> Outgoing {
    outgoing(Channel::Email, to, sealed(Channel::Email, &brief()))
}

/// The last words of a scripted exchange.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Say(&'static str),
    /// The connection is reset.
    Reset,
    /// The connection ends.
    Close,
    /// Nothing more comes.
    Hang,
}

/// A mail server without TLS that knows one password, and breaks at one word: `HI` (the greeting), a command, or `.` after a letter was
/// accepted.
pub struct Script {
    url: String,
    said: Arc<Mutex<Vec<String>>>,
    letters: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// The first connection breaks, those after it do not.
    pub async fn start(at: &'static str, mut fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("bound"));
        let script = Self { url, said: Arc::default(), letters: Arc::default() };
        let (said, letters) = (Arc::clone(&script.said), Arc::clone(&script.letters));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, at, fault.take(), Arc::clone(&said), Arc::clone(&letters)));
            }
        });
        script
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().expect("not poisoned").clone()
    }

    pub fn letters(&self) -> Vec<String> {
        self.letters.lock().expect("not poisoned").clone()
    }

    async fn send(&self, outgoing: &Outgoing) -> Outcome {
        notifier(|config| self.settings(config)).send(outgoing).await
    }

    pub fn settings(&self, config: &mut Config) {
        settings(config, &self.url, "horse battery");
        config.channels.email.allow_plain = true;
    }
}

async fn serve(stream: TcpStream, at: &str, fault: Option<Fault>, said: Arc<Mutex<Vec<String>>>, letters: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let (mut word, mut in_order) = ("HI".to_owned(), 0);
    loop {
        let answer = match word.as_str() {
            "HI" => "220 mail.example.org ESMTP",
            "EHLO" => "250-mail.example.org\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "MAIL" | "RCPT" => "250 ok",
            "DATA" if in_order == 4 => "354 go on",
            "." => "250 accepted",
            "QUIT" => "221 bye",
            _ => "503 not in order",
        };
        match fault.filter(|_| at == word) {
            None => stream.write_all(format!("{answer}\r\n").as_bytes()).await.expect("the client listens"),
            Some(Fault::Say(other)) => stream.write_all(format!("{other}\r\n").as_bytes()).await.expect("the client listens"),
            Some(Fault::Close) => return,
            Some(Fault::Reset) => {
                let _ = socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO));
                return;
            }
            Some(Fault::Hang) => tokio::time::sleep(Duration::from_mins(1)).await,
        }
        if word == "DATA" && fault.is_none_or(|_| at != word) {
            let letter = letter(&mut stream).await;
            letters.lock().expect("not poisoned").push(letter);
            ".".clone_into(&mut word);
            continue;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        assert!(line.ends_with("\r\n"), "{line:?}");
        let expected = [
            "EHLO example.org".to_owned(),
            format!("AUTH PLAIN {}", STANDARD.encode("\0chenlian\0horse battery")),
            "MAIL FROM:<chenlian@example.org>".to_owned(),
            "RCPT TO:<wang@example.org>".to_owned(),
        ];
        in_order += usize::from(expected.get(in_order).is_some_and(|command| command == line.trim_end()));
        line.split_whitespace().next().unwrap_or_default().clone_into(&mut word);
        said.lock().expect("not poisoned").push(word.clone());
    }
}

/// Up to the lonely dot.
async fn letter(stream: &mut BufReader<TcpStream>) -> String {
    let mut letter = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("the letter comes whole");
        if line == ".\r\n" {
            return letter;
        }
        assert!(line.ends_with("\r\n") && line.is_ascii() && line.len() <= 1_000, "{line:?}");
        letter.push_str(&line);
    }
}

/// The value of a header.
fn header<'a>(letter: &'a str, name: &str) -> &'a str {
    letter.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

#[track_caller]
fn check_letter(letter: &str) {
    assert_eq!(header(letter, "Message-ID"), ID);
    assert_eq!(header(letter, "Date"), "Tue, 14 Nov 2023 22:13:20 +0000");
    assert_eq!(header(letter, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(letter, "To"), "wang@example.org");
    assert!(header(letter, "From").ends_with("<chenlian@example.org>"));
    assert_eq!(header(letter, "Subject"), format!("=?utf-8?b?{}?=", STANDARD.encode("还没有消息")));
    assert_eq!(header(letter, "Content-Transfer-Encoding"), "base64");
    let unix = letter.replace("\r\n", "\n");
    let body: String = unix.split_once("\n\n").expect("a body").1.split_whitespace().collect();
    assert_eq!(String::from_utf8(STANDARD.decode(body).expect("base64")).expect("UTF-8"), TEXT);
}

/// The name of the test below, which runs itself again as somebody who believes the server's authority.
const TRUSTING: &str = "channels::email::a_real_mail_server_delivers_over_tls_and_to_nobody_whose_certificate_is_not_believed";

#[tokio::test]
async fn a_real_mail_server_delivers_over_tls_and_to_nobody_whose_certificate_is_not_believed() {
    if let Ok(servers) = std::env::var("MAIL_SERVERS_OF_THE_TEST") {
        return hand_in(&servers).await;
    }
    let Some(server) = MailServer::start() else { return };
    let servers = [format!("smtp://localhost:{}", server.port), format!("smtps://localhost:{}", server.tls_port)];
    for url in &servers {
        let outcome = notifier(|config| settings(config, url, "horse battery")).send(&message("wang@example.org")).await;
        assert_eq!(outcome, Outcome::new(OutcomeClass::Config, "certificate refused"), "{url}");
    }
    let this = std::env::current_exe().expect("a test is a program");
    let trusting = Command::new(this)
        .args(["--exact", TRUSTING, "--nocapture"])
        .env("SSL_CERT_FILE", server.authority())
        .env("MAIL_SERVERS_OF_THE_TEST", servers.join(" "))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&trusting.stdout);
    assert!(trusting.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&trusting.stderr));
    let letters = server.letters(3);
    assert_eq!(letters.len(), 3, "nothing came of the refused ones");
    let own = |letter: &String| letter[letter.find("Message-ID").expect("there is one")..].to_owned();
    for letter in &letters {
        check_letter(letter);
        assert!(letter.contains("esmtpsa"), "encrypted and with a password: {letter}");
        assert_eq!(own(letter), own(&letters[0]), "a repeat is the same letter");
    }
}

/// What the trusting run does.
async fn hand_in(servers: &str) {
    let patient = |config: &mut Config, url: &str, password: &str| {
        settings(config, url, password);
        config.outbox.attempt_timeout = Span::seconds(10);
    };
    for url in servers.split(' ') {
        let notifier_with = |password: &'static str| notifier(|config| patient(config, url, password));
        let right = notifier_with("horse battery");
        assert_eq!(right.send(&message("wang@example.org")).await, Outcome::sent(None), "{url}");
        assert_eq!(right.send(&message("no@example.org")).await, Outcome::new(OutcomeClass::Permanent, "status 550"), "{url}");
        let wrong = notifier_with("staple").send(&message("wang@example.org")).await;
        assert_eq!(wrong, Outcome::new(OutcomeClass::Config, "status 535"), "{url}");
    }
    let url = servers.split(' ').next().expect("a server");
    let again = notifier(|config| patient(config, url, "horse battery")).send(&repeated(&message("wang@example.org"), 60)).await;
    assert_eq!(again, Outcome::sent(None));
}

#[tokio::test]
async fn a_letter_is_handed_in_as_the_protocol_says_and_a_repeat_is_the_same() {
    let script = Script::start(".", None).await;
    let first = message("wang@example.org");
    assert_eq!(script.send(&first).await, Outcome::sent(None));
    assert_eq!(script.send(&repeated(&first, 60)).await, Outcome::sent(None));
    let letters = script.letters();
    assert_eq!(letters[0], letters[1]);
    check_letter(&letters[0]);
}

#[tokio::test]
async fn what_a_mail_server_says_is_understood() {
    use OutcomeClass::{Config, Permanent, SafeRetry};
    for (at, answer, class) in [
        ("HI", "421 too busy", SafeRetry),
        ("HI", "554 go away", Config),
        ("EHLO", "421 closing", SafeRetry),
        ("AUTH", "535 5.7.8 wrong password", Config),
        ("AUTH", "454 4.7.0 try later", SafeRetry),
        ("MAIL", "553 5.7.1 not your address", Config),
        ("MAIL", "530 5.7.0 authentication required", Config),
        ("MAIL", "451 4.3.0 try later", SafeRetry),
        ("RCPT", "550 5.1.1 no such mailbox", Permanent),
        ("RCPT", "530 5.7.0 authentication required", Config),
        ("RCPT", "450 4.2.1 greylisted", SafeRetry),
        ("RCPT", "452 4.2.2 mailbox full", SafeRetry),
        ("DATA", "554 no", Permanent),
        ("DATA", "421 closing", SafeRetry),
        (".", "552 5.3.4 too big", Permanent),
        (".", "554 5.7.1 spam", Permanent),
        (".", "451 4.3.0 try later", SafeRetry),
    ] {
        let script = Script::start(at, Some(Fault::Say(answer))).await;
        let outcome = script.send(&message("wang@example.org")).await;
        assert_eq!(outcome, Outcome::new(class, format!("status {}", &answer[..3])), "{at}: {answer}");
    }
}

#[tokio::test]
async fn a_link_that_breaks_leaves_doubt_only_after_the_letter() {
    use OutcomeClass::{Ambiguous, SafeRetry};
    for at in ["HI", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] {
        for fault in [Fault::Reset, Fault::Close] {
            let script = Script::start(at, Some(fault)).await;
            assert_eq!(script.send(&message("wang@example.org")).await.class, SafeRetry, "{at} {fault:?}");
            assert!(script.letters().is_empty(), "{at} {fault:?}");
        }
    }
    for fault in [Fault::Reset, Fault::Close, Fault::Hang, Fault::Say("nonsense")] {
        let script = Script::start(".", Some(fault)).await;
        assert_eq!(script.send(&message("wang@example.org")).await.class, Ambiguous, "{fault:?}");
        assert_eq!(script.letters().len(), 1, "{fault:?}: it was accepted");
    }
    let away = format!("smtp://127.0.0.1:{}", crate::cli::binary::free_port());
    let outcome = notifier(|config| settings(config, &away, "p")).send(&message("wang@example.org")).await;
    assert_eq!(outcome.class, SafeRetry);
}

#[tokio::test]
async fn a_good_bye_that_hangs_delays_no_answer() {
    let script = Script::start("QUIT", Some(Fault::Hang)).await;
    assert_eq!(script.send(&message("wang@example.org")).await, Outcome::sent(None));
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_offers_no_tls() {
    let script = Script::start(".", None).await;
    let outcome = notifier(|config| settings(config, &script.url, "horse battery")).send(&message("wang@example.org")).await;
    assert_eq!(outcome, Outcome::new(OutcomeClass::Config, "no STARTTLS"));
    assert_eq!(script.said(), ["EHLO"], "no password and no address");
}

#[tokio::test]
async fn an_address_that_is_none_and_an_account_that_is_none_send_nothing() {
    let script = Script::start(".", None).await;
    for odd in ["", "wang", "王@example.org", "wang@example.org\r\nRCPT TO:<all@example.org>", "a@b, c@d"] {
        assert_eq!(script.send(&message(odd)).await.class, OutcomeClass::Permanent, "{odd:?}");
    }
    assert!(script.said().is_empty());
    assert_eq!(notifier(|_| ()).send(&message("wang@example.org")).await.class, OutcomeClass::Config);
}
