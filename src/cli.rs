//! The command line: one subcommand per act, each sentence from `locales/console.*.yml`, exit code 0 (done), 1 (not done)
//! or 2 (arguments or settings). No secret is ever an argument: every user of a machine sees arguments.

mod arguments;
mod broker;
mod channel;
mod console;
mod keep;
mod people;
mod sensor;
mod why;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use arguments::{Arguments, BrokerCommand, ChannelCommand, Command, MemberCommand, SensorCommand, SiteCommand, TokenCommand};
use console::{Console, Failure};

use crate::app::App;
use crate::config::Config;
use crate::notify::web_push::vapid::ServerKey;
use crate::serve::{self, Running, StartError};
use crate::store::open::{FileLock, OpenError};

type Outcome = Result<(), Failure>;

/// The whole program.
pub fn main() -> ExitCode {
    let console = Console::from_environment();
    let outcome = match Arguments::read(console) {
        Ok(arguments) => run(arguments, console),
        Err(code) => return code,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.complain(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

#[tokio::main]
async fn run(arguments: Arguments, console: Console) -> Outcome {
    let file = arguments.config.as_deref();
    let load = || Config::load(file).map_err(|error| console.settings_failure(&error));
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => run_server(load()?, file, console).await,
        // Boxed: the whole invented street is in it.
        Command::Demo => Box::pin(run_demo(load()?, console)).await,
        Command::Migrate { check } => keep::migrate(load()?, check, console).await,
        Command::Site { command: SiteCommand::Add(new) } => people::add_site(load()?, new, console).await,
        Command::Member { command: MemberCommand::Add(new) } => people::add(load()?, new, console).await,
        Command::Token { command: TokenCommand::Create { member } } => people::token(load()?, &member, console).await,
        Command::Channel { command: ChannelCommand::Vapid } => {
            make_vapid_key(console);
            Ok(())
        }
        Command::Channel { command: ChannelCommand::Test { channel, to } } => channel::test(load()?, &channel, &to, console).await,
        Command::Broker { command: BrokerCommand::Acl } => broker::print_acl(load()?, console).await,
        Command::Sensor { command: SensorCommand::Explain } => sensor::explain(console),
        Command::Backup { file } => keep::backup(load()?, &file, console).await,
        Command::Restore { file } => keep::restore(load()?, &file, console).await,
        Command::Verify => keep::verify(load()?, console).await,
        Command::Config => {
            console.say(&load()?.describe());
            Ok(())
        }
        Command::Openapi => openapi(console),
    }
}

async fn run_server(config: Config, file: Option<&Path>, console: Console) -> Outcome {
    let stop = serve::stop_signal().map_err(|error| Failure::new(error.to_string()))?;
    let started = serve::run(config, stop, |running| greet(running, file, console)).await;
    started.map_err(|error| console.start_failure(&error))
}

async fn run_demo(config: Config, console: Console) -> Outcome {
    let stop = serve::stop_signal().map_err(|error| Failure::new(error.to_string()))?;
    let told = crate::demo::run(config, console.locale(), stop).await;
    told.map_err(|error| console.start_failure(&error))
}

/// Where it answers, and on an empty database how it gets its first person.
fn greet(running: &Running, file: Option<&Path>, console: Console) {
    let (http, ops) = (running.http_addr.to_string(), running.ops_addr.to_string());
    console.say(&console.render("console.running", &[("http", &http), ("ops", &ops)]));
    if running.is_empty {
        console.say(&console.render("console.no_member", &[("program", &console::program(file))]));
    }
}

/// The lines of the settings alone on stdout, the sentence about them on stderr. Nothing keeps the key but who reads it.
fn make_vapid_key(console: Console) {
    let key = ServerKey::make();
    console.complain(&console.render("console.vapid_made", &[("public_key", &key.public_key())]));
    console.say(&format!("[channels.web_push]\nprivate_key = \"{}\"\nsubject = \"\"", key.private_key()));
}

fn openapi(console: Console) -> Outcome {
    let document = crate::http::openapi().to_pretty_json().map_err(|error| Failure::new(error.to_string()))?;
    console.say(&document);
    Ok(())
}

/// The database for a command: alone if nobody else has it, else beside the running server.
async fn open(config: Config, console: Console) -> Result<(App, Option<FileLock>), Failure> {
    let opened = match serve::open(config.clone()).await {
        Err(StartError::Open(OpenError::InUse { .. })) => serve::open_beside(config).await.map(|app| (app, None)),
        other => other,
    };
    opened.map_err(|error| console.start_failure(&error))
}

/// Typed secrets are asked for only where somebody sits.
fn is_attended() -> bool {
    std::io::stdin().is_terminal()
}
