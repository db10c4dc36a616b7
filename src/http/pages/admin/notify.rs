//! How people are told at this site: quiet hours, which channel comes first, drills and the daily self-test.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::HERE;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::message::Channel;
use crate::domain::rules::{NotifyRules, WeeklyDrill};
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::channel_account;
use crate::store::register::site::{self, Site};

/// Minutes after which a report may be made, to choose from.
const MINUTES: [i64; 4] = [15, 30, 60, 120];

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/notify", get(notify))
}

/// An order of channels, as it is and as each button would make it.
struct Order {
    /// The word of the setting: `helpers` or `staff`.
    word: &'static str,
    channels: Vec<Channel>,
}

impl Order {
    /// What the site says, then whatever else is set up here.
    fn of(word: &'static str, said: &[String], configured: &[Channel]) -> Self {
        let mut channels: Vec<Channel> = said.iter().filter_map(|word| word.parse().ok()).collect();
        channels.extend(configured.iter().filter(|channel| **channel != Channel::Log && !said.iter().any(|word| word == channel.as_str())));
        Self { word, channels }
    }

    /// The same with this channel one place earlier.
    fn sooner(&self, channel: &Channel) -> Vec<Channel> {
        let mut channels = self.channels.clone();
        if let Some(place) = channels.iter().position(|known| known == channel).filter(|place| *place > 0) {
            channels.swap(place - 1, place);
        }
        channels
    }
}

#[derive(Template)]
#[template(path = "admin/notify.html")]
struct NotifyPage {
    frame: Frame,
    site: Site,
    rules: NotifyRules,
    orders: [Order; 2],
    /// Minutes to the report of a drill: in force, and to choose from.
    minutes: i64,
    choices: Vec<i64>,
}

async fn notify(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let site_id = caller.site_id;
    let found = app.read(move |mut tx| async move {
        let accounts = channel_account::configured(&mut tx).await?;
        let site = site::get(&mut tx, site_id).await?;
        Ok((tx, (site, accounts)))
    });
    let (site, accounts) = found.await?;
    let rules = site.rules()?.notify;
    let configured: Vec<Channel> = accounts.into_iter().map(|account| account.channel).collect();
    let orders = [Order::of("helpers", &rules.order_helpers, &configured), Order::of("staff", &rules.order_staff, &configured)];
    let minutes = rules.drill.report_after.0.num_minutes().max(1);
    // What somebody set by other means is offered, too.
    let mut choices = MINUTES.to_vec();
    choices.push(minutes);
    choices.sort_unstable();
    choices.dedup();
    page(&NotifyPage { frame: Frame::of(&caller, HERE), site, rules, orders, minutes, choices })
}
