//! Where a senior lived and how she was rated, day by day: the numbers of an old day belong to the building and the band of that
//! day. The row without an end is what `senior` holds now; only the senior's own writer comes here, under her lock.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::By;
use crate::domain::place::RiskBand;
use crate::on;
use crate::store::{Result, Tx};

/// A home of a senior; two in one day leave the first without a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Residence {
    pub home_id: Uuid,
    pub from_date: NaiveDate,
    /// The day of the move (exclusive); null: she lives there.
    pub to_date: Option<NaiveDate>,
    pub created_at: DateTime<Utc>,
}

/// A risk band of a senior.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Rating {
    #[sqlx(try_from = "String")]
    pub risk_band: RiskBand,
    pub from_date: NaiveDate,
    /// Exclusive; null: in force.
    pub to_date: Option<NaiveDate>,
    pub created_at: DateTime<Utc>,
}

/// From `today` on she lives there.
pub(super) async fn lives_in(tx: &mut Tx, by: &By, senior_id: Uuid, home_id: Uuid, today: NaiveDate) -> Result<()> {
    let sql = "update senior_residence set to_date = $3 where site_id = $1 and senior_id = $2 and to_date is null";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(senior_id).bind(today).execute(conn).await.map(|_| ()))?;
    let sql = "insert into senior_residence (site_id, id, senior_id, home_id, from_date, created_at) values ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(Uuid::now_v7())
        .bind(senior_id)
        .bind(home_id)
        .bind(today)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// From `today` on she is rated so.
pub(super) async fn is_rated(tx: &mut Tx, by: &By, senior_id: Uuid, risk_band: RiskBand, today: NaiveDate) -> Result<()> {
    let sql = "update senior_risk_band set to_date = $3 where site_id = $1 and senior_id = $2 and to_date is null";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(senior_id).bind(today).execute(conn).await.map(|_| ()))?;
    let sql = "insert into senior_risk_band (site_id, id, senior_id, risk_band, from_date, created_at) values ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(Uuid::now_v7())
        .bind(senior_id)
        .bind(risk_band.as_str())
        .bind(today)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// The homes of a senior, oldest first.
pub async fn residences(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Vec<Residence>> {
    let sql = "select home_id, from_date, to_date, created_at from senior_residence
        where site_id = $1 and senior_id = $2 order by from_date, created_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?)
}

/// The risk bands of a senior, oldest first.
pub async fn ratings(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Vec<Rating>> {
    let sql = "select risk_band, from_date, to_date, created_at from senior_risk_band
        where site_id = $1 and senior_id = $2 order by from_date, created_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?)
}
