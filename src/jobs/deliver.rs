//! Seals, leases, sends, settles. The first message leaves while the last is still being sealed; a hanging receiver holds a
//! few places of its own endpoint and nobody else's (I15); nothing is sent inside a transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch as signal};
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::{FAILURE_PAUSE, bounded};
use crate::app::App;
use crate::domain::message::Channel;
use crate::domain::message::retry::{Outcome, OutcomeClass, RetryRules, Settle};
use crate::notify::{Notifier, Outgoing};
use crate::store::outbox::{self, Attempt, Escalate, LEASE_RAN_OUT, Leased, Terms};
use crate::store::register::channel;
use crate::store::{Error, Result};
use crate::text;

pub mod draft;
mod seal;

/// Sends that have just begun; see [`SLOW`].
const QUICK_PLACES: usize = 128;
/// A send that takes longer gives its place to another one and goes on beside it, so that however many receivers hang, a
/// message to a healthy one starts within this time.
const SLOW: Duration = Duration::from_secs(3);
/// When something due cannot start yet: looked at again after this, or when a place becomes free.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A stop waits this long for sends in flight; the rest is cut off and given back. Shorter than `serve` waits for the jobs.
const STOP_WAITS: Duration = Duration::from_secs(4);

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages made.
    pub sealed: usize,
    /// Notices whose person has no working channel left.
    pub unreachable: usize,
    pub sent: usize,
    /// Attempts that will be repeated on the same channel.
    pub retried: usize,
    /// Messages that moved on to the person's next channel, or back to one that had only paused.
    pub moved: usize,
    /// Messages whose last channel gave up.
    pub failed: usize,
    /// Attempts whose outcome could not be written: the lease will run out.
    pub unsettled: usize,
}

/// Does everything that is due now and waits until it is settled.
pub async fn run_once(app: &App) -> Result<Report> {
    let mut sender = Sender::new(app)?;
    loop {
        let started = sender.pass().await?;
        if started == 0 && sender.flights.is_empty() {
            return Ok(sender.report);
        }
        while let Some(landed) = sender.flights.join_next().await {
            sender.land(landed).await;
        }
    }
}

/// The loop: after a bell, at the next due moment, or after one tick.
pub async fn run(app: App, mut stop: signal::Receiver<bool>) {
    let mut sender = match Sender::new(&app) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(%error, "messages cannot be sent");
            return;
        }
    };
    while !*stop.borrow() {
        let pause = match bounded(sender.pass_and_look_ahead()).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(job = "deliver", %error, "job failed");
                FAILURE_PAUSE
            }
        };
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = app.wake.deliver.notified() => break,
                () = &mut pause => break,
                _ = stop.changed() => break,
                Some(landed) = sender.flights.join_next() => sender.land(landed).await,
            }
        }
    }
    sender.stop().await;
}

/// The endpoint, and what was decided if it could be written.
type Landed = (String, Option<Settle>);

/// The messages in flight.
struct Sender {
    app: App,
    notifier: Notifier,
    flights: JoinSet<Landed>,
    per_endpoint: HashMap<String, usize>,
    places: Arc<Semaphore>,
    report: Report,
}

impl Sender {
    fn new(app: &App) -> Result<Self> {
        Ok(Self {
            app: app.clone(),
            notifier: app.notifier()?.clone(),
            flights: JoinSet::new(),
            per_endpoint: HashMap::new(),
            places: Arc::new(Semaphore::new(QUICK_PLACES)),
            report: Report::default(),
        })
    }

    /// Seals what is due and starts what may start. Returns how much it did.
    async fn pass(&mut self) -> Result<usize> {
        // Most passes find nothing; they write nothing.
        let now = self.app.clock.now();
        if self.next_due().await?.is_none_or(|next| next > now) {
            return Ok(0);
        }
        let mut done = 0;
        loop {
            let sealed = seal::seal_due(&self.app).await?;
            self.report.sealed += sealed.messages;
            done += sealed.messages + self.start().await?;
            if !sealed.more {
                break;
            }
        }
        let unreachable = self.fail_unreachable().await?;
        self.report.unreachable += unreachable;
        Ok(done + unreachable)
    }

    async fn pass_and_look_ahead(&mut self) -> Result<Duration> {
        self.pass().await?;
        let next = self.next_due().await?;
        let tick = self.app.config.tick().std();
        let ahead = next.map(|next| (next - self.app.clock.now()).to_std().unwrap_or(LOOK_AGAIN));
        Ok(ahead.unwrap_or(tick).clamp(LOOK_AGAIN.min(tick), tick))
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        self.app.read(|mut tx| async move { outbox::next_due(&mut tx).await.map(|next| (tx, next)) }).await
    }

    async fn fail_unreachable(&self) -> Result<usize> {
        let now = self.app.clock.now();
        let fail = |escalate| {
            self.app.write(move |mut tx| async move {
                let failed = outbox::fail_unreachable(&mut tx, escalate, now).await?;
                Ok((tx, failed))
            })
        };
        let failed = match fail(Escalate::Yes).await {
            Err(Error::Broken { what, id, why }) => {
                tracing::error!(what, id, why, "an alert could not be told that nobody was reached");
                fail(Escalate::No).await?
            }
            other => other?,
        };
        if failed > 0 {
            tracing::warn!(notices = failed, "people without a working channel");
            self.app.wake.escalate.notify_one();
        }
        Ok(failed)
    }

    /// Waits a moment for what is in flight and gives the rest back.
    async fn stop(mut self) {
        let landed = async { while self.flights.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAITS, landed).await.is_ok() {
            return;
        }
        self.flights.shutdown().await;
        let (instance, now) = (self.app.instance, self.app.clock.now());
        let released = self.app.write(move |mut tx| async move {
            let released = outbox::release(&mut tx, instance, now).await?;
            Ok((tx, released))
        });
        match released.await {
            Ok(messages) => tracing::warn!(messages, "sends were cut off by the stop and are due again"),
            Err(error) => tracing::error!(%error, "sends were cut off by the stop and wait for their leases"),
        }
    }

    /// Leases and sends as many as have a place.
    async fn start(&mut self) -> Result<usize> {
        let places = self.places.available_permits();
        if places == 0 {
            return Ok(0);
        }
        let now = self.app.clock.now();
        let terms = Terms {
            instance: self.app.instance,
            lease: self.app.config.outbox.lease.0,
            per_endpoint_max: count(self.app.config.outbox.concurrency),
            messages_max: count(places),
        };
        let leased = self
            .app
            .write(move |mut tx| async move {
                let leased = outbox::lease(&mut tx, terms, now).await?;
                Ok((tx, leased))
            })
            .await?;
        let started = leased.len();
        for message in leased {
            let place = Arc::clone(&self.places).try_acquire_owned().ok();
            *self.per_endpoint.entry(message.endpoint.clone()).or_default() += 1;
            self.flights.spawn(fly(self.app.clone(), self.notifier.clone(), message, place, now));
        }
        Ok(started)
    }

    /// A flight has ended: those start that waited for its place.
    ///
    /// Not to be dropped halfway: what was leased must be sent.
    async fn land(&mut self, landed: std::result::Result<Landed, JoinError>) {
        let mut crowded = self.places.available_permits() == 0;
        // A panic in a send is one unsettled attempt; its lease will run out.
        let (endpoint, settled) = landed.unwrap_or_default();
        if let Some(flying) = self.per_endpoint.get_mut(&endpoint) {
            // Half the places at a time: one lease for each message would be as much work as sending it.
            *flying -= 1;
            crowded |= *flying == self.app.config.outbox.concurrency / 2;
            if *flying == 0 {
                self.per_endpoint.remove(&endpoint);
            }
        }
        match settled {
            Some(Settle::Sent) => self.report.sent += 1,
            Some(Settle::RetryAt(_) | Settle::HeldUp(_)) => self.report.retried += 1,
            Some(Settle::NextChannel | Settle::BackAt(_)) => self.report.moved += 1,
            Some(Settle::Failed) => self.report.failed += 1,
            None => self.report.unsettled += 1,
        }
        if crowded && let Err(error) = self.start().await {
            tracing::error!(job = "deliver", %error, "no more messages could be leased");
        }
    }
}

/// One message: sent outside any transaction, then settled in one of its own.
async fn fly(app: App, notifier: Notifier, leased: Leased, place: Option<OwnedSemaphorePermit>, now: DateTime<Utc>) -> Landed {
    let endpoint = leased.endpoint.clone();
    let outcome = match outgoing(&app, &leased, now) {
        Ok(outgoing) => {
            let sending = notifier.send(&outgoing);
            tokio::pin!(sending);
            let quick = tokio::time::timeout(SLOW, &mut sending).await;
            if let Ok(outcome) = quick {
                outcome
            } else {
                drop(place);
                app.wake.deliver.notify_one();
                sending.await
            }
        }
        Err(outcome) => outcome,
    };
    let settled = settle(&app, leased, outcome).await;
    if !matches!(settled, Some(Settle::Sent)) {
        // A next channel or a next rung may be due at once.
        app.wake.deliver.notify_one();
        app.wake.escalate.notify_one();
    }
    (endpoint, settled)
}

/// What is sent, or how the attempt ends without being sent.
fn outgoing(app: &App, leased: &Leased, now: DateTime<Utc>) -> Result<Outgoing, Outcome> {
    let channel: Channel = leased.channel.parse().map_err(|_| Outcome::new(OutcomeClass::Broken, "unknown channel"))?;
    if leased.is_spent(app.config.outbox.attempts_max) {
        return Err(Outcome::new(OutcomeClass::Ambiguous, LEASE_RAN_OUT));
    }
    if leased.account_refused && !leased.is_test {
        return Err(Outcome::new(OutcomeClass::Permanent, "account refused before"));
    }
    if let Some(until) = leased.paused_until {
        return Err(Outcome::throttled(Some(until - now), "receiver pauses"));
    }
    let gone = || Outcome::new(OutcomeClass::Permanent, "channel is gone");
    let address = leased.address.clone().ok_or_else(gone)?;
    let sealed = leased.channel_id.zip(leased.secret_sealed.as_ref());
    let opened = sealed.map(|(channel, sealed)| app.seal.open(&secret_place(channel), sealed)).transpose();
    // A wrong key file must not switch channels off for ever: the message moves on, the channel stays.
    let secret = opened.map_err(|_| Outcome::new(OutcomeClass::Permanent, "secret does not open"))?;
    Ok(Outgoing {
        message_id: leased.id,
        channel,
        address,
        secret,
        body: leased.body.clone(),
        dedupe_key: leased.dedupe_key.clone(),
        call_no: leased.call_no,
        repeated: leased.repeated,
        after_doubt: leased.after_doubt,
        locale: text::locale(&leased.locale),
        signed_at: leased.signed_at,
        at: now,
    })
}

/// Where a channel's secret is sealed, see `seal::SealKey`.
pub fn secret_place(channel_id: Uuid) -> String {
    channel::secret_place(channel_id)
}

async fn settle(app: &App, leased: Leased, outcome: Outcome) -> Option<Settle> {
    let (id, settings) = (leased.id, &app.config.outbox);
    let rules = RetryRules { first: settings.retry_first.0, max: settings.retry_max.0, attempts_max: settings.attempts_max };
    if outcome.class != OutcomeClass::Sent {
        tracing::warn!(message = %id, attempt = leased.attempts, outcome = %outcome.class, detail = outcome.detail, "a message was not sent");
    }
    let (told, named) = (leased.clone(), outcome.provider_id.clone());
    let attempt = Attempt { leased, outcome, rules, jitter: rand::random(), instance: app.instance, escalate: Escalate::Yes };
    let settled = match write_settled(app, attempt.clone()).await {
        Err(Error::Broken { what, id, why }) => {
            tracing::error!(what, id, why, "an alert could not be told that nobody was reached");
            write_settled(app, Attempt { escalate: Escalate::No, ..attempt }).await
        }
        other => other,
    };
    // One that was in doubt may have been reported under our number alone.
    if matches!(settled, Ok(Settle::Sent)) && (named.is_some() || told.repeated) {
        apply_waiting(app, told, named).await;
    }
    settled.inspect_err(|error| tracing::error!(message = %id, %error, "an attempt could not be settled")).ok()
}

/// Reports that came before the provider's answer. One that cannot be applied now is lost, and with it only a shortcut: the ladder
/// goes on whether or not a text has arrived.
async fn apply_waiting(app: &App, message: Leased, provider_id: Option<String>) {
    let (now, call_no) = (app.clock.now(), message.call_no);
    let applied = app.write(move |mut tx| async move {
        outbox::receipt::apply_waiting(&mut tx, &message, provider_id.as_deref(), now).await?;
        Ok((tx, ()))
    });
    if let Err(error) = applied.await {
        tracing::error!(call_no, %error, "a provider's report could not be applied");
    }
}

async fn write_settled(app: &App, attempt: Attempt) -> Result<Settle> {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let settled = outbox::settle(&mut tx, &attempt, now).await?;
        Ok((tx, settled))
    })
    .await
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
