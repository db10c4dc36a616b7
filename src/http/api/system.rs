//! How the server itself is doing, for the operator and the administrator: what `/ready` and the heartbeat say, what waits, which
//! clock, which versions, and which settings would go wrong quietly. No word about anybody.

use axum::extract::State;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::health::{Ailment, Setup, Weakness, weaknesses};
use crate::domain::message::Channel;
use crate::domain::message::retry::OutcomeClass;
use crate::domain::refusal::Refusal;
use crate::domain::rules::WeeklyDrill;
use crate::http::answer::Answer;
use crate::http::api::entry::by;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictJson;
use crate::http::ops::{self, NotReady};
use crate::http::value::Text;
use crate::http::{HttpState, is_tls};
use crate::jobs::heartbeat;
use crate::notify::trial;
use crate::store::channel_account::Account;
use crate::store::register::site;
use crate::store::{audit, channel_account, clock, health, roster};
use crate::words;

words! {
    /// Why requests should not come now.
    pub enum Unready { Damaged = "damaged", Database = "database", Watch = "watch", Sensors = "sensors" }
}

/// A server that gave no sign of life for this long is not counted.
const ALIVE_WITHIN: TimeDelta = TimeDelta::minutes(2);

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(try_channel))
}

#[derive(Serialize, ToSchema)]
pub struct System {
    pub version: String,
    /// As it names itself.
    pub database: String,
    pub instance: Uuid,
    pub started_at: DateTime<Utc>,
    pub now: DateTime<Utc>,
    /// Seconds by which this clock is ahead of the database's, where that is another one.
    pub clock_ahead_seconds: Option<f64>,
    /// Null: requests may come.
    pub unready: Option<Unready>,
    /// What holds the heartbeat back; empty: healthy.
    pub ailments: Vec<Ailment>,
    pub weaknesses: Vec<Weakness>,
    /// Of this server.
    pub watch_passed_at: DateTime<Utc>,
    pub heartbeat_sent: bool,
    pub servers_alive: i64,
    pub jobs: Vec<JobPass>,
    pub backlog: Backlog,
    pub planned_through: Option<NaiveDate>,
    pub seniors: i64,
    pub devices: i64,
    /// How many operators of the site a message would reach; 0 is red.
    pub operators_reachable: usize,
    /// The channels that are set up here.
    pub channels: Vec<ChannelState>,
}

#[derive(Serialize, ToSchema)]
pub struct ChannelState {
    /// As in `POST …/channels`.
    #[schema(value_type = String)]
    pub channel: Channel,
    /// Since when the provider refuses the account or its settings; nothing leaves that way until a test message has passed.
    pub refused_at: Option<DateTime<Utc>>,
    /// The provider's word for why.
    pub refused_why: Option<String>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Trial {
    #[schema(value_type = String)]
    channel: Channel,
    /// A telephone number, an e-mail address, a name on the platform, or the key of an app: what the channel's address is.
    to: Text<500>,
}

/// What the provider said to a test message.
#[derive(Serialize, ToSchema)]
struct Tried {
    #[schema(value_type = String)]
    channel: Channel,
    /// The provider's number of the message, where it gives one.
    provider_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct JobPass {
    pub job: String,
    pub at: DateTime<Utc>,
}

/// What is due and not done yet.
#[derive(Serialize, ToSchema)]
pub struct Backlog {
    pub checks: i64,
    pub alerts: i64,
    pub notices: i64,
    pub messages: i64,
    pub oldest_due_at: Option<DateTime<Utc>>,
}

/// Health, versions, clock and backlog of the server.
#[utoipa::path(get, path = "/api/v1/system", tag = "system",
    responses((status = 200, body = System), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&of(&app, &caller).await?))
}

/// The same for the page.
pub async fn of(app: &App, caller: &Caller) -> Result<System, HttpError> {
    caller.require_site(Capability::SystemRead)?;
    let unready = ops::probe(app).await.err().map(|why| match why {
        NotReady::Damaged => Unready::Damaged,
        NotReady::Database(_) => Unready::Database,
        NotReady::Watch(_) => Unready::Watch,
        NotReady::Sensors => Unready::Sensors,
    });
    let ailments = heartbeat::look(app).await?;
    let (now, site_id, today) = (app.clock.now(), caller.site_id, caller.today);
    let found = looked_up!(app, |tx| {
        let operators = roster::operators(&mut tx, site_id, today).await?;
        let reachable = roster::reachable(&mut tx, site_id).await?;
        (
            health::database_version(&mut tx).await?,
            clock::shown(&mut tx).await?,
            health::passes(&mut tx).await?,
            health::backlog(&mut tx, now - ALIVE_WITHIN, now).await?,
            health::extent(&mut tx, site_id).await?,
            operators.iter().filter(|operator| reachable.contains(operator)).count(),
            channel_account::configured(&mut tx).await?,
            site::get(&mut tx, site_id).await?.rules()?.notify.drill.weekly == WeeklyDrill::Undecided,
        )
    });
    let (database, shown, passes, backlog, extent, operators_reachable, accounts, drill_undecided) = found;
    let health::Backlog { checks, alerts, notices, messages, oldest_due_at, servers } = backlog;
    Ok(System {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        database,
        instance: app.instance,
        started_at: app.started_at,
        now,
        clock_ahead_seconds: shown.map(|shown| (now - shown).as_seconds_f64()),
        unready,
        ailments,
        weaknesses: weaknesses(&Setup { drill_undecided, ..setup(app, operators_reachable > 0) }),
        watch_passed_at: app.watch_passed_at(),
        heartbeat_sent: !app.config.heartbeat.url.is_empty(),
        servers_alive: servers,
        jobs: passes.into_iter().map(|(job, at)| JobPass { job, at }).collect(),
        backlog: Backlog { checks, alerts, notices, messages, oldest_due_at },
        planned_through: extent.planned_through,
        seniors: extent.seniors,
        devices: extent.devices,
        operators_reachable,
        channels: accounts.into_iter().map(ChannelState::from).collect(),
    })
}

impl From<Account> for ChannelState {
    fn from(account: Account) -> Self {
        Self { channel: account.channel, refused_at: account.fault_at, refused_why: account.fault_why }
    }
}

/// Send a test message, marked as a drill, past the outbox to any address, and hear at once what the provider says. One that passes
/// ends a refusal.
#[utoipa::path(post, path = "/api/v1/system/channel-tests", tag = "system", request_body = Trial,
    responses((status = 200, body = Tried), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn try_channel(State(app): State<App>, caller: Caller, StrictJson(body, _): StrictJson<Trial>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::SystemRead)?;
    caller.require_recent()?;
    let channel = body.channel;
    if !app.config.working_channels().iter().any(|known| known.channel == channel && known.configured) {
        return Err(Refusal::conflict("channel.no_account").into());
    }
    let outgoing = trial::outgoing(channel, &body.to.0, caller.locale, app.clock.now())?;
    let outcome = app.notifier()?.send(&outgoing).await;
    if outcome.class != OutcomeClass::Sent {
        return Err(trial::refusal(&outcome).into());
    }
    let by = by(&caller, &app);
    app.write(move |mut tx| async move {
        channel_account::accept(&mut tx, channel.as_str()).await?;
        let entry = audit::Entry {
            site_id: by.site_id,
            at: by.now,
            actor_id: by.actor_id,
            act: "test",
            object_kind: "channel_account",
            object_id: None,
            fields: &[],
        };
        audit::write(&mut tx, &entry).await?;
        Ok((tx, ()))
    })
    .await?;
    Ok(Answer::ok(&Tried { channel, provider_id: outcome.provider_id }))
}

fn setup(app: &App, has_operator: bool) -> Setup {
    let config = &app.config;
    Setup {
        has_operator,
        has_heartbeat: !config.heartbeat.url.is_empty(),
        log_counts: config.outbox.log_counts,
        has_public_url: !config.http.public_url.is_empty(),
        is_encrypted: is_tls(app),
        anonymous_sensors: config.mqtt.anonymous_loopback,
        private_targets: config.outbox.allow_private_targets,
        drill_undecided: false,
    }
}
