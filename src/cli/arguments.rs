//! What can be typed. Help texts are keys: `console.help_<command>` and `console.argument_<name>`, put in when help is asked.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono_tz::Tz;
use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use uuid::Uuid;

use super::console::Console;
use crate::domain::message::Channel;
use crate::domain::place::Role;

#[derive(Debug, Parser)]
#[command(name = "chenlian", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve,
    Demo,
    Migrate {
        #[arg(long)]
        check: bool,
    },
    Site {
        #[command(subcommand)]
        command: SiteCommand,
    },
    Member {
        #[command(subcommand)]
        command: MemberCommand,
    },
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    Channel {
        #[command(subcommand)]
        command: ChannelCommand,
    },
    Broker {
        #[command(subcommand)]
        command: BrokerCommand,
    },
    Sensor {
        #[command(subcommand)]
        command: SensorCommand,
    },
    Backup {
        file: PathBuf,
    },
    Restore {
        file: PathBuf,
    },
    Verify,
    Config,
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum SiteCommand {
    Add(NewSite),
}

/// What is left out follows the settings of the first site.
#[derive(Debug, Args)]
pub struct NewSite {
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub timezone: Option<Tz>,
    #[arg(long, allow_negative_numbers = true)]
    pub latitude: Option<f64>,
    #[arg(long, allow_negative_numbers = true)]
    pub longitude: Option<f64>,
}

#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    Add(NewMember),
}

#[derive(Debug, Args)]
pub struct NewMember {
    #[arg(long)]
    pub phone: String,
    #[arg(long)]
    pub name: String,
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.iter().map(|role| role.as_str())))]
    pub role: String,
    #[arg(long, value_name = "ID")]
    pub place: Option<Uuid>,
    /// Says that the password comes from there, so that nobody looks for an argument that takes it.
    #[arg(long, required = true)]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    Create {
        #[arg(long, value_name = "PHONE")]
        member: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    Vapid,
    /// Past the outbox and without the database, so also before the first start.
    Test {
        #[arg(value_parser = PossibleValuesParser::new(channels()))]
        channel: String,
        #[arg(long)]
        to: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
    Acl,
}

#[derive(Debug, Subcommand)]
pub enum SensorCommand {
    /// Without database and settings: on any machine that has a message.
    Explain,
}

impl Arguments {
    /// What was typed; for help and mistakes the text is printed and the exit code comes back.
    pub fn read(console: Console) -> Result<Self, ExitCode> {
        let matches = explained(Self::command(), "console.help", console).try_get_matches();
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            // A closed console is no reason to fail differently.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        })
    }
}

/// The command with its help texts in the reader's language.
fn explained(command: clap::Command, key: &str, console: Console) -> clap::Command {
    let about = console.render(key, &[]);
    command
        .about(about)
        .long_about(None)
        .mut_args(|argument| {
            let help = console.render(&argument_key(&argument), &[]);
            argument.help(help).long_help(None)
        })
        .mut_subcommands(|sub| {
            let key = sub_key(key, &sub);
            explained(sub, &key, console)
        })
}

fn argument_key(argument: &clap::Arg) -> String {
    format!("console.argument_{}", argument.get_id())
}

fn sub_key(key: &str, sub: &clap::Command) -> String {
    format!("{key}_{}", sub.get_name())
}

/// The channels that send, by their words.
fn channels() -> Vec<&'static str> {
    Channel::ALL.iter().filter(|channel| channel.has_account() && **channel != Channel::WebPush).map(|channel| channel.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn keys(command: &clap::Command, key: &str) -> Vec<String> {
        let mut keys = vec![key.to_owned()];
        keys.extend(command.get_arguments().map(argument_key));
        for sub in command.get_subcommands() {
            keys.extend(self::keys(sub, &sub_key(key, sub)));
        }
        keys
    }

    #[test]
    fn every_command_and_argument_is_explained_in_both_languages() {
        Arguments::command().debug_assert();
        let keys = keys(&Arguments::command(), "console.help");
        assert!(keys.contains(&"console.help_member_add".to_owned()), "{keys:?}");
        for locale in text::LOCALES {
            for key in &keys {
                assert_ne!(&text::plain(locale, key), key, "no text in {locale}");
            }
        }
    }

    #[test]
    fn no_argument_takes_a_password_and_serve_is_the_default() {
        let typed = |words: &[&str]| Arguments::try_parse_from(["chenlian"].iter().chain(words));
        assert!(typed(&[]).is_ok_and(|arguments| arguments.command.is_none()));
        let add = ["member", "add", "--phone", "13800000000", "--name", "王", "--role", "administrator"];
        assert!(typed(&add).is_err(), "without --password-stdin nobody says where the password comes from");
        assert!(typed(&[&add[..], &["--password-stdin"]].concat()).is_ok());
        assert!(typed(&[&add[..], &["--password-stdin", "secret"]].concat()).is_err());
    }
}
