//! Who may say what at a mosquitto in between, as its access file: the walls of `endpoint::access` once more, from the same register.
//! What is not named there is refused.

use std::fmt::Write;

/// An account of the broker besides the server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Speaks below `chk/1/<name>/up` and hears `chk/1/<name>/dn`.
    Native { name: String },
    /// Publishes below its base topic, for instance `zigbee2mqtt` or `site/<site>/zigbee2mqtt`.
    Gateway { name: String, base_topic: String },
}

impl Account {
    /// From the register: who has a base topic is a gateway.
    pub fn of((name, base_topic): (String, Option<String>)) -> Self {
        match base_topic {
            Some(base_topic) => Self::Gateway { name, base_topic },
            None => Self::Native { name },
        }
    }
}

/// What a gateway publishes of itself in megabytes; no curtain opens in it.
const BULKY: [&str; 3] = ["logging", "definitions", "groups"];

/// The file for these accounts; `server` is the name of the server's own.
pub fn file(server: &str, accounts: impl IntoIterator<Item = Account>) -> String {
    let accounts: Vec<Account> = accounts.into_iter().collect();
    let mut text = String::new();
    section(&mut text, server);
    for line in ["read chk/1/+/up/#", "write chk/1/+/dn/#", "write chk/1/+/up/status", "write chk/1/+/up/state"] {
        rule(&mut text, line);
    }
    for account in &accounts {
        if let Account::Gateway { base_topic, .. } = account {
            rule(&mut text, &format!("read {base_topic}/#"));
            for bulky in BULKY {
                rule(&mut text, &format!("deny {base_topic}/bridge/{bulky}"));
            }
        }
    }
    for account in &accounts {
        match account {
            Account::Native { name } => {
                section(&mut text, name);
                rule(&mut text, &format!("write chk/1/{name}/up/#"));
                rule(&mut text, &format!("read chk/1/{name}/dn/#"));
            }
            Account::Gateway { name, base_topic } => {
                section(&mut text, name);
                rule(&mut text, &format!("readwrite {base_topic}/#"));
            }
        }
    }
    text
}

fn section(text: &mut String, user: &str) {
    let separator = if text.is_empty() { "" } else { "\n" };
    writeln!(text, "{separator}user {user}").expect("memory takes text");
}

fn rule(text: &mut String, rule: &str) {
    writeln!(text, "topic {rule}").expect("memory takes text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_has_its_own_topics_and_no_others() {
        let accounts = [
            Account::Native { name: "d-1".to_owned() },
            Account::Gateway { name: "gw-1".to_owned(), base_topic: "site/7/zigbee2mqtt".to_owned() },
        ];
        let expected = "user chenlian
topic read chk/1/+/up/#
topic write chk/1/+/dn/#
topic write chk/1/+/up/status
topic write chk/1/+/up/state
topic read site/7/zigbee2mqtt/#
topic deny site/7/zigbee2mqtt/bridge/logging
topic deny site/7/zigbee2mqtt/bridge/definitions
topic deny site/7/zigbee2mqtt/bridge/groups

user d-1
topic write chk/1/d-1/up/#
topic read chk/1/d-1/dn/#

user gw-1
topic readwrite site/7/zigbee2mqtt/#
";
        assert_eq!(file("chenlian", accounts), expected);
    }
}
