//! A test message over one channel, for whoever sets it up: what the provider says, at once and in words.

use super::Outcome;
use super::console::{Console, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::message::Channel;
use crate::domain::message::retry::OutcomeClass;
use crate::domain::refusal::Refusal;
use crate::notify::{Notifier, trial};
use crate::text;

pub async fn test(config: Config, channel: &str, to: &str, console: Console) -> Outcome {
    let said = |refusal: &Refusal| Failure::new(text::render(console.locale(), refusal.key, &refusal.arguments));
    let channel: Channel = channel.parse().map_err(|_| Failure::new(channel.to_owned()))?;
    if !config.channels.has_account(channel) {
        return Err(said(&Refusal::conflict("channel.no_account")));
    }
    let outgoing = trial::outgoing(channel, to, console.locale(), Clock::System.now()).map_err(|refusal| said(&refusal))?;
    let notifier = Notifier::new(&config).map_err(|error| Failure::new(error.to_string()))?;
    let outcome = notifier.send(&outgoing).await;
    if outcome.class != OutcomeClass::Sent {
        return Err(said(&trial::refusal(&outcome)));
    }
    console.say(&console.render("console.channel_tried", &[]));
    Ok(())
}
