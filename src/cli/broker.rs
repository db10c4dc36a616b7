//! What a broker in between must know of the register.

use super::Outcome;
use super::console::Console;
use crate::config::Config;
use crate::mqtt::external::acl::{self, Account};
use crate::store::device;

/// The server's account where none is set, as in `deploy/mosquitto.acl`.
const SERVER: &str = "chenlian";

/// The access file alone on stdout, so that it can be redirected; what to do with it on stderr.
pub async fn print_acl(config: Config, console: Console) -> Outcome {
    let server = if config.mqtt.user.is_empty() { SERVER.to_owned() } else { config.mqtt.user.clone() };
    let (app, lock) = super::open(config, console).await?;
    let accounts = app.read(|mut tx| async move { device::accounts(&mut tx).await.map(|accounts| (tx, accounts)) }).await;
    app.db.close().await;
    drop(lock);
    let accounts = accounts.map_err(|error| console.store_failure(&error))?;
    console.complain(&console.render("console.acl_made", &[("count", &accounts.len().to_string())]));
    console.say(acl::file(&server, accounts.into_iter().map(Account::of)).trim_end());
    Ok(())
}
