//! Builds the street through the register, as an administrator would.

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use firmware_sim::envelope::DeviceId;
use uuid::Uuid;

use super::people::{BUILDINGS_PER_COMPOUND, COMMUNITY, COMPOUNDS, MEMBERS, SENIORS, STREET, Scope, VOLUNTEERS};
use crate::app::App;
use crate::domain::check::Slot;
use crate::domain::day;
use crate::domain::day::EVERY_DAY;
use crate::domain::device::{DeviceRole, Ecosystem};
use crate::domain::evidence::Level;
use crate::domain::place::{Category, ConsentScope, PairingKind, PlaceKind, Purpose, RiskBand};
use crate::domain::rules::Rules;
use crate::domain::signal::{SensorPolicy, Sign};
use crate::http::password;
use crate::store::register::By;
use crate::store::register::agreement::{self, NewAgreement};
use crate::store::register::channel::{self, ChannelPatch, NewChannel};
use crate::store::register::consent::{self, NewConsent};
use crate::store::register::contact::{self, NewContact};
use crate::store::register::home::{self, NewHome};
use crate::store::register::member::{self, NewMember};
use crate::store::register::pairing::{self, NewPairing};
use crate::store::register::place::{self, NewPlace};
use crate::store::register::role_grant::{self, NewRoleGrant};
use crate::store::register::senior::{self, NewSenior};
use crate::store::register::site::{self, NewSite};
use crate::store::{Result, Tx, channel_account, device};

/// What the story needs to know of the street.
#[derive(Debug, Clone)]
pub struct Street {
    pub site: Uuid,
    pub members: Vec<Uuid>,
    /// By building, in walking order.
    pub seniors: Vec<Vec<Uuid>>,
    pub sensors: Vec<Sensor>,
    /// called, phone, password of those who may sign in.
    pub sign_ins: Vec<(&'static str, &'static str, String)>,
}

/// A sensor at the first home of a building.
#[derive(Debug, Clone)]
pub struct Sensor {
    pub device: DeviceId,
    pub key: [u8; 32],
    pub kid: u32,
    pub password: String,
}

/// Builds everything in one transaction; a street without a corner would be no demo.
pub async fn build(app: &App, zone: Tz, rules: Rules, deadline: NaiveTime) -> Result<Street> {
    let now = app.clock.now();
    let sign_ins: Vec<Option<(String, String)>> = MEMBERS
        .iter()
        .map(|member| {
            member.signs_in.then(|| {
                // Never a default: each run has passwords of its own.
                let password = format!("{:08x}", rand::random::<u32>());
                let hash = password::hash(&password).expect("eight characters are enough");
                (password, hash)
            })
        })
        .collect();
    let (seal, channels) = (app.seal.clone(), app.config.working_channels());
    let hashes: Vec<Option<String>> = sign_ins.iter().map(|entry| entry.as_ref().map(|(_, hash)| hash.clone())).collect();
    let street = app
        .write(move |mut tx| async move {
            // Before the street: who can be reached decides which button may be bound.
            channel_account::declare(&mut tx, &channels).await?;
            let site = site::create(&mut tx, None, new_site(zone, rules), now).await?;
            let by = By { site_id: site.id, actor_id: None, now };
            let places = places(&mut tx, &by).await?;
            let members = members(&mut tx, &by, &seal, &places, hashes).await?;
            let seniors = seniors(&mut tx, &by, &places, &members, (day::local_date(zone, now), deadline)).await?;
            let sensors = sensors(&mut tx, &by, &seal, &seniors, members[MEMBERS.len() - 1]).await?;
            Ok((tx, Street { site: site.id, members, seniors, sensors, sign_ins: Vec::new() }))
        })
        .await?;
    let sign_ins =
        MEMBERS.iter().zip(sign_ins).filter_map(|(member, entry)| entry.map(|(password, _)| (member.called, member.phone, password)));
    Ok(Street { sign_ins: sign_ins.collect(), ..street })
}

fn new_site(zone: Tz, rules: Rules) -> NewSite {
    NewSite { id: Uuid::now_v7(), name: COMMUNITY.to_owned(), zone, latitude: 37.87, longitude: 112.55, rules }
}

struct Places {
    street: Uuid,
    community: Uuid,
    compounds: Vec<Uuid>,
    buildings: Vec<Uuid>,
}

async fn places(tx: &mut Tx, by: &By) -> Result<Places> {
    let street = new_place(tx, by, PlaceKind::Street, STREET, None, 1).await?;
    let community = new_place(tx, by, PlaceKind::Community, COMMUNITY, Some(street), 1).await?;
    let mut places = Places { street, community, compounds: Vec::new(), buildings: Vec::new() };
    for (order, name) in (1..).zip(COMPOUNDS) {
        let compound = new_place(tx, by, PlaceKind::Compound, name, Some(community), order).await?;
        places.compounds.push(compound);
        for number in 1..=BUILDINGS_PER_COMPOUND {
            let order = i64::try_from(number).expect("few buildings");
            let building = new_place(tx, by, PlaceKind::Building, &format!("{name}{number}号楼"), Some(compound), order).await?;
            places.buildings.push(building);
        }
    }
    Ok(places)
}

async fn new_place(tx: &mut Tx, by: &By, kind: PlaceKind, name: &str, parent_id: Option<Uuid>, walk_order: i64) -> Result<Uuid> {
    let new = NewPlace { id: Uuid::now_v7(), kind, name: name.to_owned(), parent_id, walk_order };
    Ok(place::create(tx, by, new).await?.id)
}

async fn members(tx: &mut Tx, by: &By, seal: &crate::seal::SealKey, places: &Places, hashes: Vec<Option<String>>) -> Result<Vec<Uuid>> {
    let mut ids = Vec::with_capacity(MEMBERS.len());
    for (person, hash) in MEMBERS.iter().zip(hashes) {
        let new = NewMember {
            id: Uuid::now_v7(),
            name: person.name.to_owned(),
            called: person.called.to_owned(),
            phone: person.phone.to_owned(),
            locale: "zh-CN".to_owned(),
        };
        let member_id = member::create(tx, by, new, hash).await?.id;
        for (role, scope) in person.roles {
            let place_id = match *scope {
                Scope::Street => places.street,
                Scope::Community => places.community,
                Scope::Compound(index) => places.compounds[index],
                Scope::Building(index) => places.buildings[index],
            };
            let grant = NewRoleGrant {
                id: Uuid::now_v7(),
                member_id,
                role: *role,
                place_id: Some(place_id),
                grid_id: None,
                from_date: None,
                to_date: None,
            };
            role_grant::create(tx, by, grant).await?;
        }
        let way = NewChannel { id: Uuid::now_v7(), position: 1, channel: "log".to_owned(), address: String::new(), secret: None };
        let way = channel::create(tx, by, seal, member_id, way).await?;
        let seen = ChannelPatch { verified: Some(true), ..ChannelPatch::default() };
        channel::patch(tx, by, member_id, way.id, way.version, seen).await?;
        ids.push(member_id);
    }
    Ok(ids)
}

async fn seniors(tx: &mut Tx, by: &By, places: &Places, members: &[Uuid], due: (NaiveDate, NaiveTime)) -> Result<Vec<Vec<Uuid>>> {
    let (today, deadline) = due;
    let mut all = Vec::with_capacity(places.buildings.len());
    for (number, building) in places.buildings.iter().enumerate() {
        let mut here = Vec::with_capacity(SENIORS.len());
        for order in 0..SENIORS.len() {
            let id = new_senior(tx, by, *building, order).await?;
            // Building 3 is looked after by 王师傅, the next by the others in turn.
            let primary = members[(number + VOLUNTEERS - 2) % VOLUNTEERS];
            let backup = members[(number + VOLUNTEERS - 1) % VOLUNTEERS];
            for (kind, member_id) in [(PairingKind::Primary, primary), (PairingKind::Backup, backup)] {
                let pairing = NewPairing { id: Uuid::now_v7(), member_id, kind, from_date: None, to_date: None };
                pairing::create(tx, by, id, pairing).await?;
            }
            agreement::create(tx, by, id, new_agreement(deadline, today), true).await?;
            here.push(id);
        }
        all.push(here);
    }
    Ok(all)
}

async fn new_senior(tx: &mut Tx, by: &By, building_id: Uuid, order: usize) -> Result<Uuid> {
    let (surname, given, grandmother) = SENIORS[order];
    let number = i64::try_from(order).expect("few seniors");
    let home = NewHome {
        id: Uuid::now_v7(),
        building_id,
        unit: format!("{}单元", number / 4 + 1),
        floor: Some(number % 6 + 1),
        room: format!("{}0{}", number % 6 + 1, number % 2 + 1),
        window_hint: if number % 2 == 0 { "左二窗" } else { "右一窗" }.to_owned(),
        walk_order: number,
        key_holder_member_id: None,
        key_holder_name: None,
        key_holder_phone: None,
    };
    let home_id = home::create(tx, by, home).await?.id;
    let new = NewSenior {
        id: Uuid::now_v7(),
        home_id,
        name: format!("{surname}{given}"),
        called: format!("{surname}{}", if grandmother { "奶奶" } else { "爷爷" }),
        phone: Some(format!("03511000{order:04}")),
        birth_year: Some(1940 + number),
        categories: [Category::LivingAlone, Category::AdvancedAge].into(),
        risk_band: if order.is_multiple_of(3) { RiskBand::Yellow } else { RiskBand::Green },
        hearing_hint: if order == 2 { "耳背，请多敲几下" } else { "" }.to_owned(),
        purpose: Purpose::Real,
    };
    let id = senior::create(tx, by, new).await?.id;
    let daughter = NewContact {
        id: Uuid::now_v7(),
        position: 1,
        name: format!("{surname}女士"),
        relation: "女儿".to_owned(),
        phone: format!("13700001{order:03}"),
        minutes_away: Some(25),
        agreed_automatic: false,
    };
    contact::create(tx, by, id, daughter).await?;
    for scope in [ConsentScope::DailyCheck, ConsentScope::FamilyContact] {
        let given = NewConsent { id: Uuid::now_v7(), scope, given_at: by.now, given_how: "口头".to_owned(), witness: None };
        consent::create(tx, by, id, given).await?;
    }
    Ok(id)
}

fn new_agreement(deadline: NaiveTime, today: NaiveDate) -> NewAgreement {
    NewAgreement {
        id: Uuid::now_v7(),
        slot: Slot::Morning,
        weekdays: EVERY_DAY,
        expected_sign: Sign::Open,
        window_opens: None,
        deadline: Some(deadline),
        grace_seconds: None,
        unobserved_delay_seconds: None,
        sensor_policy: SensorPolicy::Sufficient,
        require_change: false,
        from_date: Some(today),
        to_date: None,
    }
}

/// One sensor at the first home of each building.
async fn sensors(tx: &mut Tx, by: &By, seal: &crate::seal::SealKey, seniors: &[Vec<Uuid>], installer: Uuid) -> Result<Vec<Sensor>> {
    let mut sensors = Vec::with_capacity(seniors.len());
    for (number, building) in seniors.iter().enumerate() {
        let name = format!("demo-{}", number + 1);
        let new = device::NewDevice {
            site_id: by.site_id,
            id: Uuid::now_v7(),
            name: name.clone(),
            ecosystem: Ecosystem::Native,
            role: DeviceRole::CurtainContact,
            gateway_id: None,
            base_topic: None,
            expected_interval_seconds: 3600,
            component: String::new(),
            settings: serde_json::Map::new(),
        };
        let (made, credentials) = device::create(tx, &new, Some(installer), seal, by.now).await?;
        let bound = device::bind(tx, (by.site_id, made.id), building.first().copied(), made.version, installer, by.now).await?;
        device::calibrate(tx, (by.site_id, made.id), (Level::Closed, Level::Open), bound.version, Some(installer), by.now).await?;
        let credentials = credentials.expect("a native device has credentials");
        sensors.push(Sensor {
            device: firmware_sim::envelope::device_id(&name).expect("a plain name"),
            key: credentials.key.expect("a native device has a key"),
            kid: credentials.kid,
            password: credentials.password,
        });
    }
    Ok(sensors)
}
