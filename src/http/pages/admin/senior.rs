//! A senior as the register keeps her: the home, the person, what was agreed, who looks after her. What is read about her day by
//! day is another page.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::HERE;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::{Category, PairingKind, RiskBand};
use crate::domain::signal::Sign;
use crate::http::HttpState;
use crate::http::api::seniors::{self, SeniorView, agreements, pairings};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::{Segments, StrictQuery};
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::register::agreement::Agreement;
use crate::store::register::home::{self, Home};
use crate::store::register::pairing::Pairing;
use crate::store::register::place::{self, Place};
use crate::store::register::{contact, intake};

pub fn routes() -> Router<HttpState> {
    Router::new()
        .route("/admin/homes/new", get(new_home))
        .route("/admin/seniors/new", get(new_senior))
        .route("/seniors/{id}/edit", get(edit))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildingQuery {
    building: Uuid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HomeQuery {
    home: Uuid,
}

#[derive(Template)]
#[template(path = "admin/home_new.html")]
struct NewHomePage {
    frame: Frame,
    building: Place,
}

#[derive(Template)]
#[template(path = "admin/senior_new.html")]
struct NewSeniorPage {
    frame: Frame,
    home: Home,
    building: Place,
    categories: &'static [Category],
    bands: &'static [RiskBand],
}

/// A pairing with the name of the member.
struct Paired {
    pairing: Pairing,
    name: String,
}

#[derive(Template)]
#[template(path = "admin/senior_edit.html")]
struct EditPage {
    frame: Frame,
    senior: SeniorView,
    home: Home,
    agreements: Vec<Agreement>,
    paired: Vec<Paired>,
    people: Vec<(Uuid, String)>,
    kinds: &'static [PairingKind],
    signs: &'static [Sign],
    categories: &'static [Category],
    bands: &'static [RiskBand],
    next_contact: usize,
}

impl EditPage {
    fn has(&self, category: &Category) -> bool {
        self.senior.categories.as_ref().is_some_and(|all| all.contains(category))
    }

    fn is_band(&self, band: &RiskBand) -> bool {
        self.senior.risk_band == Some(*band)
    }
}

async fn new_home(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<BuildingQuery>) -> Result<Response, HttpError> {
    let asker = caller.clone();
    let found = app.read(move |mut tx| async move {
        asker.place(&mut tx, query.building, Capability::SeniorWrite).await?;
        let building = place::get(&mut tx, asker.site_id, query.building).await?;
        Ok((tx, building))
    });
    page(&NewHomePage { frame: Frame::of(&caller, HERE), building: found.await? })
}

async fn new_senior(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<HomeQuery>) -> Result<Response, HttpError> {
    let asker = caller.clone();
    let found = app.read(move |mut tx| async move {
        let home = home::get(&mut tx, asker.site_id, query.home).await?;
        asker.place(&mut tx, home.building_id, Capability::SeniorWrite).await?;
        let building = place::get(&mut tx, asker.site_id, home.building_id).await?;
        Ok((tx, (home, building)))
    });
    let (home, building) = found.await?;
    page(&NewSeniorPage { frame: Frame::of(&caller, HERE), home, building, categories: Category::ALL, bands: RiskBand::ALL })
}

async fn edit(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let asker = caller.clone();
    let allowed = app.read(move |mut tx| async move {
        asker.senior(&mut tx, id, Capability::SeniorWrite).await?;
        let people = intake::people(&mut tx, asker.site_id).await?;
        let contacts = contact::list(&mut tx, asker.site_id, id).await?.len();
        Ok((tx, (people, contacts)))
    });
    let (people, contacts) = allowed.await?;
    let (senior, _) = seniors::opened(&app, &caller, id).await?;
    let (site_id, home_id, today) = (caller.site_id, senior.home_id, caller.today);
    let home = app.read(move |mut tx| async move {
        let home = home::get(&mut tx, site_id, home_id).await?;
        Ok((tx, home))
    });
    let names: BTreeMap<Uuid, String> = people.iter().map(|person| (person.id, person.name.clone())).collect();
    let is_open = |to: Option<chrono::NaiveDate>| to.is_none_or(|to| to > today);
    let paired = pairings::listed(&app, &caller, id).await?.into_iter().filter(|pairing| is_open(pairing.to_date));
    let paired = paired.map(|pairing| Paired { name: names.get(&pairing.member_id).cloned().unwrap_or_default(), pairing });
    page(&EditPage {
        home: home.await?,
        agreements: agreements::listed(&app, &caller, id).await?.into_iter().filter(|one| is_open(one.to_date)).collect(),
        paired: paired.collect(),
        people: people.into_iter().map(|person| (person.id, person.name)).collect(),
        frame: Frame::of(&caller, "/seniors"),
        senior,
        kinds: PairingKind::ALL,
        signs: Sign::ALL,
        categories: Category::ALL,
        bands: RiskBand::ALL,
        next_contact: contacts + 1,
    })
}
