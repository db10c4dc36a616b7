use super::*;

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Away on the 23rd and 24th, back on the 25th, whose check is number 25.
fn away() -> AbsenceFact {
    AbsenceFact {
        id: Uuid::nil(),
        kind: AbsenceKind::WithFamily,
        from_date: date(23),
        return_date: date(25),
        reported_by: "女儿".to_owned(),
        confirmed_at: Some(DateTime::UNIX_EPOCH),
        cancelled_at: None,
        return_confirmed_at: None,
        first_check: Some(Uuid::from_u128(25)),
    }
}

#[test]
fn only_an_absence_confirmed_before_the_cutoff_and_still_standing_then_excuses_its_dates() {
    let cutoff = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
    let (before, at) = (cutoff - TimeDelta::milliseconds(1), cutoff);
    for (day, confirmed_at, cancelled_at, excuses) in [
        (22, Some(before), None, false),
        (23, Some(before), None, true),
        (24, Some(before), None, true),
        (25, Some(before), None, false), // the first day back is an ordinary check
        (23, None, None, false),
        (23, Some(at), None, false),
        (23, Some(before), Some(before), false),
        (23, Some(before), Some(at), true),
    ] {
        let absence = AbsenceFact { confirmed_at, cancelled_at, ..away() };
        assert_eq!(absence.excuses(date(day), cutoff), excuses, "day {day}, {confirmed_at:?}, {cancelled_at:?}");
    }
}

#[test]
fn what_is_said_of_a_check_is_the_open_proposal_or_else_the_return_that_nobody_confirmed() {
    let some = Some(DateTime::UNIX_EPOCH);
    let proposed = AbsenceFact { confirmed_at: None, ..away() };
    let longer =
        AbsenceFact { from_date: date(25), return_date: date(28), reported_by: "邻居".to_owned(), first_check: None, ..proposed.clone() };
    let said = |absences: &[AbsenceFact], day: u32| {
        remark(absences, Uuid::from_u128(u128::from(day)), date(day)).map(|(remark, by)| (remark, by.to_owned()))
    };
    let of = |remark, by: &str| Some((remark, by.to_owned()));
    for (what, absences, day, expected) in [
        ("the first day back", vec![away()], 25, of(Remark::ReturnInDoubt, "女儿")),
        ("the day after", vec![away()], 26, None),
        ("a day away", vec![away()], 24, None),
        ("confirmed", vec![AbsenceFact { return_confirmed_at: some, ..away() }], 25, None),
        ("at home after all", vec![AbsenceFact { cancelled_at: some, ..away() }], 25, None),
        ("only proposed, on the day of its end", vec![proposed.clone()], 25, None),
        ("proposed", vec![proposed.clone()], 23, of(Remark::Proposed, "女儿")),
        ("taken back", vec![AbsenceFact { cancelled_at: some, ..proposed }], 23, None),
        ("she may stay longer", vec![away(), longer.clone()], 25, of(Remark::Proposed, "邻居")),
        ("and the days after", vec![away(), longer], 27, of(Remark::Proposed, "邻居")),
        ("nothing is known", vec![], 25, None),
    ] {
        assert_eq!(said(&absences, day), expected, "{what}");
    }
}

#[test]
fn the_return_is_asked_about_from_the_sites_time_on_the_eve_until_the_first_morning_opens() {
    let (zone, rules) = (chrono_tz::Asia::Shanghai, CheckRules::default());
    for (now, expected) in [
        ("2026-11-24T15:59:59+08:00", None),
        ("2026-11-24T16:00:00+08:00", Some(Asking::Eve)),
        ("2026-11-24T23:59:59+08:00", Some(Asking::Eve)),
        ("2026-11-25T00:00:00+08:00", Some(Asking::FirstDay)),
        ("2026-11-25T06:29:59+08:00", Some(Asking::FirstDay)),
        ("2026-11-25T06:30:00+08:00", None),
    ] {
        assert_eq!(asking(zone, &rules, date(25), at(now)), expected, "{now}");
    }
    let early = CheckRules { confirm_return_at: chrono::NaiveTime::MIN, ..CheckRules::default() };
    assert_eq!(asking(zone, &early, date(25), at("2026-11-24T00:00:00+08:00")), Some(Asking::Eve), "small values are legal");
}

#[test]
fn a_return_is_confirmed_from_the_day_before_on() {
    for (today, may) in [(23, false), (24, true), (25, true), (28, true)] {
        assert_eq!(may_confirm_return(date(25), date(today)), may, "on the {today}");
    }
}

#[test]
fn a_visit_of_the_first_day_back_counts_by_the_date_on_the_street() {
    let zone = chrono_tz::Asia::Shanghai;
    for (visit, awaits) in [
        (None, true),
        (Some("2026-11-24T23:59:59+08:00"), true),
        (Some("2026-11-25T00:00:00+08:00"), false),
        (Some("2026-11-30T09:00:00+08:00"), false),
    ] {
        assert_eq!(awaits_return_visit(zone, date(25), visit.map(at)), awaits, "{visit:?}");
    }
}
