//! An invented street for tests, written straight into the tables so that a test of one room needs no other room.

use chenlian::app::App;
use chenlian::domain::rules::{NotifyRules, Rules};
use chenlian::on;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// A site with one compound, one building, people around it and as many seniors as asked for.
#[derive(Debug, Clone)]
pub struct World {
    pub site: Uuid,
    pub street: Uuid,
    pub community: Uuid,
    pub compound: Uuid,
    pub building: Uuid,
    pub primary: Uuid,
    pub backup: Uuid,
    pub building_lead: Uuid,
    pub social_worker: Uuid,
    pub secretary: Uuid,
    pub street_duty: Uuid,
    pub operator: Uuid,
    pub administrator: Uuid,
    pub seniors: Vec<Uuid>,
}

impl World {
    /// Seeds the world with the default rules; every senior has a morning agreement from long ago.
    pub async fn seed(app: &App, seniors: usize) -> Self {
        Self::seed_with(app, seniors, Rules::default()).await
    }

    /// Whatever the rules say, reminders and reports are told at once, so that a test of one room needs to know nothing of quiet
    /// hours and jitter.
    pub async fn seed_with(app: &App, seniors: usize, rules: Rules) -> Self {
        let notify = NotifyRules { quiet_to: rules.notify.quiet_from, jitter_seconds: [0, 0], ..rules.notify };
        Self::seed_as(app, seniors, Rules { notify, ..rules }).await
    }

    /// The same with every rule as it is given.
    pub async fn seed_as(app: &App, seniors: usize, rules: Rules) -> Self {
        let ids = || Uuid::now_v7();
        let world = Self {
            site: ids(),
            street: ids(),
            community: ids(),
            compound: ids(),
            building: ids(),
            primary: ids(),
            backup: ids(),
            building_lead: ids(),
            social_worker: ids(),
            secretary: ids(),
            street_duty: ids(),
            operator: ids(),
            administrator: ids(),
            seniors: (0..seniors).map(|_| Uuid::now_v7()).collect(),
        };
        let (copy, now) = (world.clone(), app.clock.now());
        app.write(move |mut tx| async move {
            copy.insert(&mut tx, &rules, now).await;
            Ok((tx, ()))
        })
        .await
        .expect("the world is seeded");
        world
    }

    async fn insert(&self, tx: &mut chenlian::store::Tx, rules: &Rules, now: DateTime<Utc>) {
        let from = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a literal date");
        let settings = serde_json::to_string(rules).expect("rules are plain data");
        on!(tx, |conn| sqlx::query(
            "insert into site (id, name, timezone, latitude, longitude, settings, version, created_at) values ($1, '试验', 'Asia/Shanghai', 37.9, 112.6, $2, 1, $3)"
        )
        .bind(self.site)
        .bind(settings)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("site");
        let chain = [
            (self.street, "street", "锦绣街道", None),
            (self.community, "community", "锦绣社区", Some(self.street)),
            (self.compound, "compound", "锦绣苑", Some(self.community)),
            (self.building, "building", "3号楼", Some(self.compound)),
        ];
        for (depth, (id, kind, name, parent)) in chain.into_iter().enumerate() {
            on!(tx, |conn| sqlx::query(
                "insert into place (site_id, id, kind, name, parent_id, walk_order, version, created_at) values ($1, $2, $3, $4, $5, 1, 1, $6)"
            )
            .bind(self.site)
            .bind(id)
            .bind(kind)
            .bind(name)
            .bind(parent)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))
            .expect("place");
            for (above, (ancestor, ..)) in chain.iter().enumerate().take(depth + 1) {
                let distance = i64::try_from(depth - above).expect("small");
                on!(tx, |conn| sqlx::query(
                    "insert into place_closure (site_id, ancestor_id, descendant_id, depth) values ($1, $2, $3, $4)"
                )
                .bind(self.site)
                .bind(ancestor)
                .bind(id)
                .bind(distance)
                .execute(conn)
                .await
                .map(|_| ()))
                .expect("closure");
            }
        }
        let members = [
            (self.primary, "王建国", "王师傅", "volunteer", self.building),
            (self.backup, "刘桂芳", "刘师傅", "volunteer", self.building),
            (self.building_lead, "陈楼长", "陈楼长", "building_lead", self.building),
            (self.social_worker, "王秀兰", "小王", "social_worker", self.community),
            (self.secretary, "李书记", "李书记", "branch_secretary", self.compound),
            (self.street_duty, "街道值班", "街道值班", "street_duty", self.street),
            (self.operator, "运维", "运维", "operator", self.street),
            (self.administrator, "管理员", "管理员", "administrator", self.street),
        ];
        for (number, (id, name, called, role, place)) in members.into_iter().enumerate() {
            self.member(tx, id, name, called, &format!("1380000{number:04}"), now).await;
            self.grant(tx, id, role, place, from, now).await;
        }
        for (number, senior) in self.seniors.iter().enumerate() {
            self.senior(tx, *senior, number, from, now).await;
        }
    }

    async fn member(&self, tx: &mut chenlian::store::Tx, id: Uuid, name: &str, called: &str, phone: &str, now: DateTime<Utc>) {
        on!(tx, |conn| sqlx::query(
            "insert into member (site_id, id, name, called, phone, locale, version, created_at) values ($1, $2, $3, $4, $5, 'zh-CN', 1, $6)"
        )
        .bind(self.site)
        .bind(id)
        .bind(name)
        .bind(called)
        .bind(phone)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("member");
        on!(tx, |conn| sqlx::query(
            "insert into member_channel (site_id, id, member_id, position, channel, address, verified_at, version, created_at)
             values ($1, $2, $3, 1, 'log', '', $4, 1, $4)"
        )
        .bind(self.site)
        .bind(Uuid::now_v7())
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("channel");
    }

    pub async fn grant(&self, tx: &mut chenlian::store::Tx, member: Uuid, role: &str, place: Uuid, from: NaiveDate, now: DateTime<Utc>) {
        on!(tx, |conn| sqlx::query(
            "insert into role_grant (site_id, id, member_id, role, place_id, from_date, version, created_at) values ($1, $2, $3, $4, $5, $6, 1, $7)"
        )
        .bind(self.site)
        .bind(Uuid::now_v7())
        .bind(member)
        .bind(role)
        .bind(place)
        .bind(from)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("grant");
    }

    async fn senior(&self, tx: &mut chenlian::store::Tx, id: Uuid, number: usize, from: NaiveDate, now: DateTime<Utc>) {
        let home = Uuid::now_v7();
        let order = i64::try_from(number).expect("small");
        on!(tx, |conn| sqlx::query(
            "insert into home (site_id, id, building_id, unit, floor, room, window_hint, walk_order, version, created_at)
             values ($1, $2, $3, '2单元', 4, $4, '左二窗', $5, 1, $6)"
        )
        .bind(self.site)
        .bind(home)
        .bind(self.building)
        .bind(format!("{}", 401 + number))
        .bind(order)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("home");
        on!(tx, |conn| sqlx::query(
            "insert into senior (site_id, id, home_id, name, called, phone, categories, risk_band, hearing_hint, purpose, version, created_at)
             values ($1, $2, $3, $4, $5, '0351000000', '[\"living_alone\"]', 'yellow', '', 'real', 1, $6)"
        )
        .bind(self.site)
        .bind(id)
        .bind(home)
        .bind(format!("张桂英{number}"))
        .bind(format!("张奶奶{number}"))
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("senior");
        self.residence(tx, id, home, from, now).await;
        self.agreement(tx, id, "morning", "open", from, now).await;
        for (member, kind) in [(self.primary, "primary"), (self.backup, "backup")] {
            on!(tx, |conn| sqlx::query(
                "insert into pairing (site_id, id, senior_id, member_id, kind, from_date, version, created_at) values ($1, $2, $3, $4, $5, $6, 1, $7)"
            )
            .bind(self.site)
            .bind(Uuid::now_v7())
            .bind(id)
            .bind(member)
            .bind(kind)
            .bind(from)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))
            .expect("pairing");
        }
    }

    async fn residence(&self, tx: &mut chenlian::store::Tx, id: Uuid, home: Uuid, from: NaiveDate, now: DateTime<Utc>) {
        on!(tx, |conn| sqlx::query(
            "insert into senior_residence (site_id, id, senior_id, home_id, from_date, created_at) values ($1, $2, $2, $3, $4, $5)"
        )
        .bind(self.site)
        .bind(id)
        .bind(home)
        .bind(from)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("residence");
        on!(tx, |conn| sqlx::query(
            "insert into senior_risk_band (site_id, id, senior_id, risk_band, from_date, created_at) values ($1, $2, $2, 'yellow', $3, $4)"
        )
        .bind(self.site)
        .bind(id)
        .bind(from)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("risk band");
    }

    pub async fn agreement(&self, tx: &mut chenlian::store::Tx, senior: Uuid, slot: &str, sign: &str, from: NaiveDate, now: DateTime<Utc>) {
        on!(tx, |conn| sqlx::query(
            "insert into agreement (site_id, id, senior_id, slot, weekdays, expected_sign, sensor_policy, require_change, from_date, content_hash, created_at)
             values ($1, $2, $3, $4, 127, $5, 'sufficient', false, $6, $7, $8)"
        )
        .bind(self.site)
        .bind(Uuid::now_v7())
        .bind(senior)
        .bind(slot)
        .bind(sign)
        .bind(from)
        .bind(vec![0_u8])
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))
        .expect("agreement");
    }
}
