//! Who is away: members on leave with those who stand in, and seniors whose absence waits for somebody's word.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use super::HERE;
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::register::Page as RowPage;
use crate::store::register::absence::{self, Absence};
use crate::store::register::intake;
use crate::store::register::leave::{self, Leave, LeaveFilter};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/leaves", get(leaves))
}

struct Away {
    leave: Leave,
    name: String,
    substitute: Option<String>,
}

struct Proposed {
    absence: Absence,
    called: String,
}

#[derive(Template)]
#[template(path = "admin/leaves.html")]
struct LeavesPage {
    frame: Frame,
    away: Vec<Away>,
    proposed: Vec<Proposed>,
    /// Id and name of those who may go on leave or stand in.
    people: Vec<(Uuid, String)>,
}

async fn leaves(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::AbsenceConfirm)?;
    let asker = caller.clone();
    let found = app.read(move |mut tx| async move {
        let members = asker.members(&mut tx).await?;
        let people = intake::people(&mut tx, asker.site_id).await?;
        let people: Vec<_> = people.into_iter().filter(|person| members.contains(person.id)).collect();
        let filter = LeaveFilter { id: None, member_id: None, on: None, with_cancelled: false };
        let leaves = leave::list(&mut tx, asker.site_id, filter, RowPage::default()).await?;
        let leaves: Vec<Leave> =
            leaves.into_iter().filter(|leave| members.contains(leave.member_id) && leave.return_date > asker.today).collect();
        let mut proposed = Vec::new();
        for (absence, called) in absence::unconfirmed(&mut tx, asker.site_id, asker.today).await? {
            let relations = asker.seniors(&mut tx, std::iter::once(absence.senior_id)).await?;
            if relations.get(&absence.senior_id).is_some_and(|relation| relation.may(Capability::SeniorRead)) {
                proposed.push(Proposed { absence, called });
            }
        }
        Ok((tx, (people, leaves, proposed)))
    });
    let (people, leaves, proposed) = found.await?;
    let names: BTreeMap<Uuid, String> = people.iter().map(|person| (person.id, person.name.clone())).collect();
    let named = |leave: Leave| Away {
        name: names.get(&leave.member_id).cloned().unwrap_or_default(),
        substitute: leave.substitute_id.and_then(|id| names.get(&id).cloned()),
        leave,
    };
    page(&LeavesPage {
        frame: Frame::of(&caller, HERE),
        away: leaves.into_iter().map(named).collect(),
        proposed,
        people: people.into_iter().map(|person| (person.id, person.name)).collect(),
    })
}
