//! What can happen in a street with two seniors, done through the doors that people, sensors and jobs use.

use chenlian::app::App;
use chenlian::domain::absence::AbsenceKind;
use chenlian::domain::case::{Act, Actor, Resolution};
use chenlian::domain::outcome::ContactProof;
use chenlian::domain::signal::{Evidence, SignalKind, Source};
use chenlian::jobs::{deliver, escalate, plan_day, watch};
use chenlian::on;
use chenlian::store::register::{By, absence, agreement};
use chenlian::store::signal::{NewSignal, Receipt};
use chenlian::store::{Error, Result, case};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::inspect;
use crate::done;
use crate::harness::{World, local};
use crate::morning::{by_member, planned, send, set};
use crate::register::body;

const SENIORS: usize = 2;

#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub senior: usize,
    pub kind: SignalKind,
    minutes_ago: i64,
    device: bool,
}

impl Look {
    pub fn ago(&self) -> TimeDelta {
        TimeDelta::minutes(self.minutes_ago)
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Hand {
    Claim,
    OnSite,
    Extend,
    Release,
    NoAnswer,
    Escalate,
    Emergency,
    Assign,
    Resolve,
    Reopen,
}

#[derive(Debug, Clone)]
pub enum Op {
    /// Minutes.
    Wait(i64),
    /// Everything that is due is decided, and then looked at.
    Pass,
    /// What is pending is told.
    Deliver,
    Looks(Vec<Look>),
    Repeat(usize),
    Correct {
        which: usize,
        kind: SignalKind,
    },
    Act {
        senior: usize,
        who: usize,
        hand: Hand,
    },
    Raise {
        senior: usize,
        who: usize,
    },
    Propose {
        senior: usize,
        from: i64,
        days: i64,
    },
    Confirm(usize),
    Cancel(usize),
    Agree {
        senior: usize,
        deadline: &'static str,
        today: bool,
    },
    EndAgreement(usize),
}

fn kind() -> impl Strategy<Value = SignalKind> {
    use SignalKind::{Closed, Cry, Help, NoAnswer, NotVisible, Open, SeenInPerson};
    prop::sample::select(vec![Open, Closed, NotVisible, SeenInPerson, NoAnswer, Help, Cry])
}

pub fn look() -> impl Strategy<Value = Look> {
    let minutes_ago = prop_oneof![Just(0_i64), 0_i64..30, 0_i64..600];
    (0..SENIORS, kind(), minutes_ago, prop::bool::weighted(0.2)).prop_map(|(senior, kind, minutes_ago, device)| Look {
        senior,
        kind,
        minutes_ago,
        device,
    })
}

pub fn op() -> impl Strategy<Value = Op> {
    use Hand::{Assign, Claim, Emergency, Escalate, Extend, NoAnswer, OnSite, Release, Reopen, Resolve};
    let hand = prop::sample::select(vec![Claim, OnSite, Extend, Release, NoAnswer, Escalate, Emergency, Assign, Resolve, Resolve, Reopen]);
    let deadline = prop::sample::select(vec!["08:00", "09:30", "10:30"]);
    prop_oneof![
        6 => prop_oneof![1_i64..20, 30_i64..240, Just(1_500_i64)].prop_map(Op::Wait),
        5 => Just(Op::Pass),
        1 => Just(Op::Deliver),
        5 => prop::collection::vec(look(), 1..4).prop_map(Op::Looks),
        1 => (0_usize..20).prop_map(Op::Repeat),
        2 => (0_usize..20, kind()).prop_map(|(which, kind)| Op::Correct { which, kind }),
        5 => (0..SENIORS, 0_usize..3, hand).prop_map(|(senior, who, hand)| Op::Act { senior, who, hand }),
        1 => (0..SENIORS, 0_usize..3).prop_map(|(senior, who)| Op::Raise { senior, who }),
        2 => (0..SENIORS, 0_i64..2, 1_i64..3).prop_map(|(senior, from, days)| Op::Propose { senior, from, days }),
        2 => (0..SENIORS).prop_map(Op::Confirm),
        1 => (0..SENIORS).prop_map(Op::Cancel),
        2 => (0..SENIORS, deadline, any::<bool>()).prop_map(|(senior, deadline, today)| Op::Agree { senior, deadline, today }),
        1 => (0..SENIORS).prop_map(Op::EndAgreement),
    ]
}

/// One street in a database of its own, and what somebody in it has sent.
pub struct Street {
    app: App,
    pub world: World,
    sent: Vec<NewSignal>,
    /// Ids are counted, so that both engines break ties alike; each hand counts for itself.
    hand: u128,
    ids: u128,
}

impl Street {
    /// Monday, six in the morning.
    pub async fn new(app: &App) -> Self {
        set(app, local("06:00:00")).await;
        let world = planned(app, SENIORS).await;
        Self { app: app.clone(), world, sent: Vec::new(), hand: 0, ids: 0 }
    }

    /// The same street in another hand.
    pub fn beside(&self, app: App, hand: u128) -> Self {
        Self { app, world: self.world.clone(), sent: self.sent.clone(), hand, ids: self.ids }
    }

    pub fn learn(&mut self, other: Self) {
        let fresh = other.sent.into_iter().filter(|signal| !self.sent.iter().any(|known| known.id == signal.id));
        self.sent.extend(fresh.collect::<Vec<_>>());
        self.ids = self.ids.max(other.ids);
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128((self.hand << 64) + 10_000 + self.ids)
    }

    /// The same for every history, so that the engines agree.
    pub fn id_of(&self, senior: Uuid, number: usize) -> Uuid {
        let place = self.world.seniors.iter().position(|id| *id == senior).expect("of this street");
        Uuid::from_u128(((1 + place as u128) << 64) + number as u128)
    }

    /// One step, and after a pass a look at everything.
    pub async fn play(&mut self, op: &Op) {
        // Nothing happens at the same moment, so that no tie is broken by an id that each engine was given for itself.
        self.app.clock.advance(TimeDelta::seconds(1));
        self.play_unseen(op).await;
        if matches!(op, Op::Pass) {
            inspect::everything(&self.app, &self.world).await;
        }
    }

    pub async fn play_unseen(&mut self, op: &Op) {
        match op {
            Op::Wait(minutes) => self.app.clock.advance(TimeDelta::minutes(*minutes)),
            Op::Pass => self.pass().await,
            Op::Deliver => drop(deliver::run_once(&self.app).await.expect("what is due is told")),
            Op::Looks(looks) => {
                let signals = looks.iter().map(|look| self.signal(look)).collect();
                self.take(signals).await;
            }
            Op::Repeat(which) => {
                let again = self.sent.get(*which % self.sent.len().max(1)).cloned();
                self.take(again.into_iter().collect()).await;
            }
            Op::Correct { which, kind } => {
                let Some(old) = self.sent.get(*which % self.sent.len().max(1)).cloned() else { return };
                let (id, by) = (self.id(), self.world.primary);
                let mut correction = by_member(old.senior_id, *kind, old.observed_at, by);
                (correction.id, correction.replaces, correction.reason) = (id, Some(old.id), Some("看错了".to_owned()));
                self.take(vec![correction]).await;
            }
            Op::Act { senior, who, hand } => self.act(*senior, *who, *hand).await,
            Op::Raise { senior, who } => {
                let (site, senior, actor, request) = (self.world.site, self.world.seniors[*senior], self.actor(*who), self.id());
                let now = self.app.clock.now();
                settled(done!(self.app, |tx| case::raise(&mut tx, site, senior, actor, request, None, now)));
            }
            Op::Propose { .. } | Op::Confirm(_) | Op::Cancel(_) => self.absence(op).await,
            Op::Agree { senior, deadline, today } => {
                let (by, senior) = (self.by(), self.world.seniors[*senior]);
                let from = today.then(|| self.today());
                let new = body(json!({"id": self.id(), "slot": "morning", "expected_sign": "open", "sensor_policy": "sufficient",
                    "deadline": deadline, "from_date": from}));
                settled(done!(self.app, |tx| agreement::create(&mut tx, &by, senior, new, true)));
            }
            Op::EndAgreement(senior) => {
                let (by, senior) = (self.by(), self.world.seniors[*senior]);
                let site = self.world.site;
                let listed = done!(self.app, |tx| agreement::list(&mut tx, site, senior)).expect("agreements are read");
                let Some(last) = listed.into_iter().rfind(|agreement| agreement.to_date.is_none()) else { return };
                settled(done!(self.app, |tx| agreement::end(&mut tx, &by, senior, last.id, None, true)));
            }
        }
    }

    async fn pass(&self) {
        plan_day::run_once(&self.app).await.expect("the day is planned");
        let report = watch::run_once(&self.app).await.expect("the watch passes");
        assert_eq!(report.unmonitored, 0, "nothing here is broken");
        escalate::run_once(&self.app).await.expect("the ladder passes");
    }

    fn signal(&mut self, look: &Look) -> NewSignal {
        let (id, at) = (self.id(), self.app.clock.now() - look.ago());
        let mut signal = by_member(self.world.seniors[look.senior], look.kind, at, self.world.primary);
        signal.id = id;
        if look.device {
            (signal.source, signal.evidence, signal.observed_by, signal.entered_by) = (Source::Device, Some(Evidence::A), None, None);
        }
        signal
    }

    async fn take(&mut self, signals: Vec<NewSignal>) {
        self.sent.extend(signals.iter().filter(|signal| !self.sent.iter().any(|known| known.id == signal.id)).cloned().collect::<Vec<_>>());
        // In another hand's batch what is to be replaced may not have arrived.
        let receipts = send(&self.app, &self.world, signals).await;
        assert!(!receipts.iter().any(|receipt| matches!(receipt, Receipt::Conflict)), "nothing is sent with other content");
    }

    /// As a phone does: sends what is new, and again what was refused because the look that it corrects had not arrived.
    pub async fn send_until_taken(&self, batches: Vec<Vec<NewSignal>>) {
        let mut refused: Vec<NewSignal> = Vec::new();
        for batch in batches {
            let receipts = send(&self.app, &self.world, batch.clone()).await;
            let again = batch.into_iter().zip(receipts).filter(|(_, receipt)| matches!(receipt, Receipt::Refused(_)));
            refused.extend(again.map(|(signal, _)| signal));
        }
        while !refused.is_empty() {
            let receipts = send(&self.app, &self.world, refused.clone()).await;
            let before = refused.len();
            let again = refused.into_iter().zip(receipts).filter(|(_, receipt)| matches!(receipt, Receipt::Refused(_)));
            refused = again.map(|(signal, _)| signal).collect();
            assert!(refused.len() < before, "a correction is taken once its look is there");
        }
    }

    fn by(&self) -> By {
        By { site_id: self.world.site, actor_id: Some(self.world.social_worker), now: self.app.clock.now() }
    }

    fn today(&self) -> chrono::NaiveDate {
        self.app.clock.now().with_timezone(&chrono_tz::Asia::Shanghai).date_naive()
    }

    fn actor(&self, who: usize) -> Actor {
        let id = [self.world.primary, self.world.backup, self.world.social_worker][who];
        Actor { id, may_silence: who == 2, may_confirm: who == 2 }
    }

    async fn act(&self, senior: usize, who: usize, hand: Hand) {
        let (site, senior, now) = (self.world.site, self.world.seniors[senior], self.app.clock.now());
        let sql = "select id from alert where site_id = $1 and senior_id = $2 order by case when resolved_at is null then 0 else 1 end, opened_at desc, id limit 1";
        let latest = self.app.read(move |mut tx| async move {
            let id: Option<Uuid> = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(site).bind(senior).fetch_optional(conn).await)?;
            Ok((tx, id))
        });
        let Some(alert) = latest.await.expect("alerts are read") else { return };
        let resolution = Resolution {
            safe: true,
            proof: Some(ContactProof::SeenInPerson),
            proof_by: None,
            proof_at: None,
            outcome: None,
            note: None,
            return_date: None,
        };
        let act = match hand {
            Hand::Claim => Act::Claim,
            Hand::OnSite => Act::OnSite,
            Hand::Extend => Act::Extend,
            Hand::Release => Act::Release,
            Hand::NoAnswer => Act::NoAnswerAtDoor,
            Hand::Escalate => Act::Escalate,
            Hand::Emergency => Act::Emergency { service: "120".to_owned() },
            Hand::Assign => Act::Assign { to: self.world.backup },
            Hand::Resolve => Act::Resolve(resolution),
            Hand::Reopen => Act::Reopen { reason: "没见到人".to_owned() },
        };
        let actor = self.actor(who);
        settled(done!(self.app, |tx| case::act(&mut tx, site, alert, actor, act, now)));
    }

    async fn absence(&mut self, op: &Op) {
        let by = self.by();
        if let Op::Propose { senior, from, days } = op {
            let senior = self.world.seniors[*senior];
            let from_date = self.today() + TimeDelta::days(*from);
            let new = absence::NewAbsence {
                id: self.id(),
                kind: AbsenceKind::Hospital,
                from_date,
                return_date: from_date + TimeDelta::days(*days),
                reported_by: "女儿".to_owned(),
            };
            settled(done!(self.app, |tx| absence::propose(&mut tx, &by, senior, new)));
            return;
        }
        let (Op::Confirm(senior) | Op::Cancel(senior)) = op else { return };
        let (site, senior) = (self.world.site, self.world.seniors[*senior]);
        let listed = done!(self.app, |tx| absence::list(&mut tx, site, senior)).expect("absences are read");
        let Some(last) = listed.into_iter().rfind(|absence| absence.cancelled_at.is_none()) else { return };
        settled(match op {
            Op::Confirm(_) => done!(self.app, |tx| absence::confirm(&mut tx, &by, senior, last.id, last.version, true)),
            _ => done!(self.app, |tx| absence::cancel(&mut tx, &by, senior, last.id, last.version)),
        });
    }

    /// What became of a senior; without the history only what is left open.
    pub async fn seen_of(&self, senior: Uuid, with_history: bool) -> Vec<String> {
        inspect::seen_of(&self.app, self.world.site, senior, with_history).await
    }

    /// The next day's cutoff passes as well; then what became of everybody.
    pub async fn end(mut self) -> Vec<String> {
        let end = local("10:00:00") + TimeDelta::days(1);
        set(&self.app, self.app.clock.now().max(end)).await;
        self.play(&Op::Pass).await;
        let mut seen = Vec::new();
        for senior in self.world.seniors.clone() {
            seen.extend(self.seen_of(senior, true).await);
        }
        seen.extend(inspect::told(&self.app, self.world.site).await);
        self.leave().await;
        seen
    }

    /// Leaves the database as it was found.
    pub async fn leave(self) {
        inspect::wipe(&self.app).await;
    }
}

/// Done or refused: anything else is a failure of ours.
#[track_caller]
fn settled<T>(outcome: Result<T>) {
    match outcome {
        Ok(_) | Err(Error::Refused(_)) => {}
        Err(other) => panic!("{other}"),
    }
}
