//! Takes messages as they come, stores what has queued in one transaction, then answers each sender.
//!
//! What must stay true: a message is acknowledged only after its commit; a message that cannot be stored because of what it is, is
//! kept as a sample and acknowledged, so that it never stops the others; one that cannot be stored because the database is away is
//! not acknowledged and comes again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::behind::{self, Below};
use super::facts::Delivery;
use super::judge::{Aside, Way};
use super::native::downlink::receipt;
use super::zigbee2mqtt::list;
use crate::app::App;
use crate::domain::evidence::SensorRules;
use crate::domain::quarantine::{Proof, Reason, is_worth_a_call};
use crate::mqtt::Downward;
use crate::mqtt::ports::{Downlink, Fault, Inbound, Outcome, Source};
use crate::seal::SealKey;
use crate::store::device::{self, Quarantined};
use crate::store::{Error, Result, Tx};

mod batch;
mod route;

/// Messages of one transaction. There is no waiting for more: what has queued is taken.
const BATCH_MAX: usize = 1000;
/// Samples kept per hour and device, and altogether: a device gone mad must not fill the disk.
const SAMPLES_PER_DEVICE_MAX: u32 = 30;
const SAMPLES_MAX: u32 = 600;
/// Refused presses per hour and device that make phones ring: whoever has stolen a device must not be able to ring a street awake.
const PRESSES_PER_DEVICE_MAX: usize = 6;
/// Devices settled in one transaction.
const SETTLE_MAX: i64 = 500;

/// A message without its answer channel, so that it can be tried again.
#[derive(Debug, Clone)]
pub struct Message {
    /// The device of the session's credential; its messages are about this device or what is behind it.
    speaks_for: Option<Uuid>,
    site_id: Option<Uuid>,
    /// Came by an external broker; true if it may have waited there.
    broker: Option<bool>,
    topic: String,
    payload: Bytes,
    size_bytes: usize,
    /// It says what was when somebody kept it, or when the sender wrote its will; not what happens.
    said_before: bool,
    dup: bool,
    fault: Option<Fault>,
    received_at: DateTime<Utc>,
}

impl Message {
    fn new(inbound: Inbound) -> (Self, oneshot::Sender<Outcome>) {
        let (device, broker) = match inbound.source {
            Source::Session(identity) => (identity.device, None),
            Source::Broker { waited } => (None, Some(waited)),
        };
        let message = Self {
            speaks_for: device.map(|device| device.device_id),
            site_id: device.map(|device| device.site_id),
            broker,
            topic: inbound.topic,
            payload: inbound.payload,
            size_bytes: inbound.size_bytes,
            said_before: inbound.retain || inbound.will,
            dup: inbound.dup,
            fault: inbound.fault,
            received_at: inbound.received_at,
        };
        (message, inbound.ack)
    }

    fn way(&self, instance: u32) -> Way {
        let waited = self.dup || self.broker.unwrap_or(false);
        let delivery = Delivery { received_at: self.received_at, retained: self.said_before, waited };
        Way { delivery, own_password: self.speaks_for.is_some(), shared_by: self.broker.map(|_| instance) }
    }

    fn quarantined(&self, site_id: Option<Uuid>, device_id: Option<Uuid>, aside: Aside) -> Quarantined {
        Quarantined {
            site_id,
            device_id,
            topic: self.topic.clone(),
            reason: aside.reason,
            why: aside.why,
            press: aside.press,
            payload: self.payload.to_vec(),
            size_bytes: self.size_bytes,
            received_at: self.received_at,
        }
    }
}

/// What became of one message.
#[derive(Debug, Clone, Copy, Default)]
struct Answer {
    revoked: bool,
    receipt: Option<(u32, u32)>,
}

/// What a stored batch leaves to do.
#[derive(Debug, Clone, Copy, Default)]
struct Aftermath {
    /// Signals were stored: checks and alerts may have changed.
    signals: bool,
    /// An opening waits for its time.
    settling: bool,
    /// People are to be told of a press that was refused.
    told: bool,
}

/// What judging needs besides the messages.
struct Work {
    rules: SensorRules,
    seal: SealKey,
    /// Tells this instance's copies of a broker's messages from others'.
    instance: u32,
    /// Before this moment nothing can have been heard.
    listening_since: DateTime<Utc>,
    budget: Mutex<Budget>,
}

/// Samples of the current hour.
#[derive(Default)]
struct Budget {
    hour: Option<DateTime<Utc>>,
    total: u32,
    by_device: HashMap<Option<Uuid>, u32>,
    /// Presses that made phones ring, by name: one that is sent again is the same.
    presses: HashMap<Option<Uuid>, BTreeSet<String>>,
}

impl Work {
    fn new(app: &App) -> Arc<Self> {
        let sensor = &app.config.sensor;
        let rules = SensorRules {
            settle: sensor.settle.0,
            closed_min: sensor.closed_min.0,
            online_grace: sensor.online_grace.0,
            future_max: app.config.check.future_devices.0,
            ..SensorRules::default()
        };
        let (instance, ..) = app.instance.as_fields();
        // The first field of a time-ordered id changes too slowly to tell two instances apart; the last bytes are random.
        let tail = u32::try_from(app.instance.as_u128() & 0xffff_ffff).unwrap_or(instance);
        Arc::new(Self { rules, seal: app.seal.clone(), instance: tail, listening_since: app.started_at, budget: Mutex::default() })
    }

    /// What is put aside: kept as far as there is room, and told at once where somebody may have pressed for help.
    async fn put_aside(&self, tx: &mut Tx, mut samples: Vec<Quarantined>, now: DateTime<Utc>) -> Result<bool> {
        for sample in &mut samples {
            metrics::counter!("chenlian_mqtt_quarantined_total", "reason" => sample.reason.as_str()).increment(1);
            if sample.press.is_some() {
                metrics::counter!("chenlian_mqtt_presses_refused_total").increment(1);
                tracing::error!(device = ?sample.device_id, reason = %sample.reason, "a press for help may have been refused");
                sample.press = sample.press.take().filter(|press| self.may_ring(sample.device_id, press, now));
            }
        }
        let told = device::tell_presses(tx, &samples, now).await?;
        device::keep(tx, &self.within_budget(samples, now)).await?;
        Ok(told > 0)
    }

    fn may_ring(&self, device: Option<Uuid>, press: &str, now: DateTime<Utc>) -> bool {
        let mut budget = self.budget_of_hour(now);
        let presses = budget.presses.entry(device).or_default();
        presses.contains(press) || (presses.len() < PRESSES_PER_DEVICE_MAX && presses.insert(press.to_owned()))
    }

    fn budget_of_hour(&self, now: DateTime<Utc>) -> MutexGuard<'_, Budget> {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if budget.hour.is_none_or(|hour| now - hour >= TimeDelta::hours(1) || now < hour) {
            *budget = Budget { hour: Some(now), ..Budget::default() };
        }
        budget
    }

    fn within_budget(&self, samples: Vec<Quarantined>, now: DateTime<Utc>) -> Vec<Quarantined> {
        let mut budget = self.budget_of_hour(now);
        let keep = |sample: &Quarantined| {
            let of_device = budget.by_device.entry(sample.device_id).or_default();
            *of_device += 1;
            let kept = *of_device <= SAMPLES_PER_DEVICE_MAX && budget.total < SAMPLES_MAX;
            budget.total += u32::from(kept);
            kept
        };
        let mut keep = keep;
        samples.into_iter().filter(|sample| keep(sample)).collect()
    }
}

/// Stores messages until the channel closes.
pub async fn run(app: App, mut inbound: mpsc::Receiver<Inbound>, downward: Downward) {
    let work = Work::new(&app);
    while let Some(first) = inbound.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = inbound.try_recv()
        {
            batch.push(next);
        }
        let (messages, acks): (Vec<Message>, Vec<_>) = batch.into_iter().map(Message::new).unzip();
        let messages = Arc::new(messages);
        metrics::histogram!("chenlian_mqtt_batch_messages").record(u32::try_from(messages.len()).unwrap_or(u32::MAX));
        let outcomes = take(&app, &messages, &work).await;
        for (message, (outcome, ack)) in messages.iter().zip(outcomes.into_iter().zip(acks)) {
            answer(message, outcome, ack, &app, &downward);
        }
    }
}

/// Confirms openings that have lasted; returns how many, and when the next may be due.
pub async fn settle(app: &App) -> Result<(usize, Option<DateTime<Utc>>)> {
    let now = app.clock.now();
    let (due, next) =
        app.read(move |mut tx| async move { device::due_to_settle(&mut tx, now, SETTLE_MAX).await.map(|found| (tx, found)) }).await?;
    if due.is_empty() {
        return Ok((0, next));
    }
    let work = Work::new(app);
    let settled = match settle_these(app, due.clone(), &work, now).await {
        Err(error) if device::is_poison(&error) => one_by_one_settled(app, due, &work, now).await?,
        other => other?,
    };
    app.wake.all();
    Ok((settled, next))
}

async fn settle_these(app: &App, ids: Vec<Uuid>, work: &Arc<Work>, now: DateTime<Utc>) -> Result<usize> {
    let work = Arc::clone(work);
    app.write(move |mut tx| async move {
        let settled = batch::settle(&mut tx, &ids, &work, now).await?;
        Ok((tx, settled))
    })
    .await
}

/// A broken row must not keep the others from being confirmed; it is reported each time until somebody mends it.
async fn one_by_one_settled(app: &App, ids: Vec<Uuid>, work: &Arc<Work>, now: DateTime<Utc>) -> Result<usize> {
    let mut settled = 0;
    for id in ids {
        match settle_these(app, vec![id], work, now).await {
            Ok(one) => settled += one,
            Err(error) if device::is_poison(&error) => tracing::error!(device = %id, %error, "an opening cannot be confirmed"),
            Err(error) => return Err(error),
        }
    }
    Ok(settled)
}

/// Devices that were renamed at their gateway are found under their new names from the first message on.
async fn follow_names(app: &App, messages: &[Message]) -> Result<()> {
    let is_list = |message: &&Message| list::is_list(&message.topic) && message.fault.is_none();
    for message in messages.iter().filter(is_list) {
        let Some(named) = list::decode(&message.payload) else { continue };
        let named: Vec<(String, String)> = named.into_iter().map(|named| (named.ieee_address, named.friendly_name)).collect();
        let (topic, speaks_for, now) = (message.topic.clone(), message.speaks_for, app.clock.now());
        let renamed = app
            .write(move |mut tx| async move {
                let gateways = device::gateways(&mut tx).await?;
                let renamed = match behind::below(&topic, speaks_for, &gateways) {
                    Below::One(gateway, base) if topic[base.len()..] == *"/bridge/devices" => {
                        device::follow_names(&mut tx, gateway, &named, now).await?
                    }
                    _ => 0,
                };
                Ok((tx, renamed))
            })
            .await?;
        tracing::info!(renamed, "a gateway has told the names of its devices");
    }
    Ok(())
}

/// One result per message. A batch with a message that cannot be stored is taken apart.
async fn take(app: &App, messages: &Arc<Vec<Message>>, work: &Arc<Work>) -> Vec<Result<Answer>> {
    match follow_names(app, messages).await {
        Ok(()) => {}
        Err(error) if device::is_poison(&error) => tracing::error!(%error, "the names of a gateway's devices cannot be followed"),
        Err(_) => return messages.iter().map(|_| Err(Error::Busy)).collect(),
    }
    match store(app, Arc::clone(messages), work).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) if device::is_poison(&error) => {
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages.iter() {
                outcomes.push(take_alone(app, message, work).await);
            }
            outcomes
        }
        Err(error) => {
            tracing::error!(%error, messages = messages.len(), "messages cannot be stored; their senders keep them");
            messages.iter().map(|_| Err(Error::Busy)).collect()
        }
    }
}

async fn take_alone(app: &App, message: &Message, work: &Arc<Work>) -> Result<Answer> {
    match store(app, Arc::new(vec![message.clone()]), work).await {
        Ok(answers) => Ok(answers.into_iter().next().unwrap_or_default()),
        Err(error) if device::is_poison(&error) => {
            tracing::error!(%error, device = ?message.speaks_for, "a message cannot be stored and is kept aside");
            let told = put_aside_broken(app, message.clone(), error.to_string(), work).await?;
            if told {
                app.wake.deliver.notify_one();
            }
            Ok(Answer::default())
        }
        Err(error) => Err(error),
    }
}

/// The fault is ours, so a press is told on anybody's word; the device is found by its name, because its row may be what is broken.
async fn put_aside_broken(app: &App, message: Message, why: String, work: &Arc<Work>) -> Result<bool> {
    let (work, now) = (Arc::clone(work), app.clock.now());
    app.write(move |mut tx| async move {
        let name = super::native::Topic::parse(&message.topic).map(|topic| topic.device);
        let device_id = match (message.speaks_for, name) {
            (None, Some(name)) => device::named(&mut tx, &[name]).await?.get(name).copied(),
            (known, _) => known,
        };
        let press = super::native::claimed_press(&message.payload).filter(|_| is_worth_a_call(Proof::None, Reason::Broken));
        let sample = message.quarantined(message.site_id, device_id, Aside { reason: Reason::Broken, why, press });
        let told = work.put_aside(&mut tx, vec![sample], now).await?;
        Ok((tx, told))
    })
    .await
}

async fn store(app: &App, messages: Arc<Vec<Message>>, work: &Arc<Work>) -> Result<Vec<Answer>> {
    let (work, now) = (Arc::clone(work), app.clock.now());
    let (answers, aftermath) = app
        .write(move |mut tx| async move {
            let stored = batch::store(&mut tx, &messages, &work, now).await?;
            Ok((tx, stored))
        })
        .await?;
    if aftermath.signals {
        app.wake.all();
    }
    if aftermath.told {
        app.wake.deliver.notify_one();
    }
    if aftermath.settling {
        app.wake.settle.notify_one();
    }
    Ok(answers)
}

fn answer(message: &Message, outcome: Result<Answer>, ack: oneshot::Sender<Outcome>, app: &App, downward: &Downward) {
    let verdict = match &outcome {
        Ok(Answer { revoked: true, .. }) => Outcome::Revoked,
        Ok(_) => Outcome::Committed,
        Err(_) => Outcome::Failed,
    };
    // A sender that is gone needs no answer.
    let _ = ack.send(verdict);
    if let Ok(Answer { receipt: Some((boot_n, seq)), .. }) = outcome
        && let Some(super::native::Topic { device, .. }) = super::native::Topic::parse(&message.topic)
    {
        let payload = receipt(boot_n, seq, app.clock.now().timestamp());
        let topic = format!("chk/1/{device}/dn/ack");
        downward.send(device, &Downlink { topic, payload: Bytes::from(payload), retain: false });
    }
}
