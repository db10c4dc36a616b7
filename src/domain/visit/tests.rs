use super::found::DOSSIER;
use super::*;
use crate::domain::outcome::{ContactProof, Outcome};

fn now() -> DateTime<Utc> {
    "2026-11-24T02:00:00Z".parse().unwrap()
}

fn visit(visitors: &[Uuid]) -> VisitFacts<'_> {
    VisitFacts {
        kind: VisitKind::CareVisit,
        method: VisitMethod::Door,
        alert_id: None,
        started_at: now() - TimeDelta::minutes(20),
        ended_at: Some(now()),
        result: VisitResult::Met,
        contact_with: Some(ContactWith::Senior),
        visitors,
        dossier: None,
        needs: &[],
        family_visits_last_month: Some(2),
        next_due: None,
        resolve: None,
    }
}

fn refused(visit: &VisitFacts) -> Option<String> {
    validate(visit, visit.started_at.date_naive(), now()).err().and_then(|refusal| refusal.field)
}

#[test]
fn a_record_that_contradicts_itself_is_refused_at_its_field() {
    let one = [Uuid::from_u128(1)];
    let twice = [one[0], one[0]];
    assert_eq!(refused(&visit(&one)), None);
    assert_eq!(refused(&visit(&[])).as_deref(), Some("visitors"));
    assert_eq!(refused(&visit(&twice)).as_deref(), Some("visitors"));
    let future = VisitFacts { started_at: now() + TimeDelta::minutes(3), ended_at: None, ..visit(&one) };
    assert_eq!(refused(&future).as_deref(), Some("started_at"));
    let backwards = VisitFacts { ended_at: Some(now() - TimeDelta::hours(1)), ..visit(&one) };
    assert_eq!(refused(&backwards).as_deref(), Some("ended_at"));
    let without_alert = VisitFacts { kind: VisitKind::AlertFollowup, ..visit(&one) };
    assert_eq!(refused(&without_alert).as_deref(), Some("alert_id"));
    let due_the_same_day = VisitFacts { next_due: Some(now().date_naive()), ..visit(&one) };
    assert_eq!(refused(&due_the_same_day).as_deref(), Some("next_due"));
    let of_the_dead = VisitFacts { result: VisitResult::Deceased, contact_with: None, ..visit(&one) };
    assert_eq!(refused(&of_the_dead), None);
    let next_of_the_dead = VisitFacts { next_due: Some(now().date_naive() + TimeDelta::days(9)), ..of_the_dead };
    assert_eq!(refused(&next_of_the_dead).as_deref(), Some("next_due"));
}

#[test]
fn a_record_that_arrives_weeks_late_is_judged_by_its_own_day() {
    let one = [Uuid::from_u128(1)];
    let began = now() - TimeDelta::days(20);
    let day = began.date_naive();
    let late = VisitFacts { started_at: began, ended_at: None, next_due: Some(day + TimeDelta::days(14)), ..visit(&one) };
    assert_eq!(refused(&late), None, "it was due six days ago: that is what the record says");
    assert_eq!(next_due(VisitResult::Met, RiskBand::Yellow, day), Some(day + TimeDelta::days(14)));
    assert_eq!(next_due(VisitResult::NotMet, RiskBand::Green, day), Some(day + TimeDelta::days(1)), "a shut door is tried again");
    for gone in [VisitResult::Moved, VisitResult::Hospital, VisitResult::Deceased] {
        assert_eq!(next_due(gone, RiskBand::Red, day), None, "{gone}");
    }
}

type Row = (VisitResult, VisitMethod, Option<ContactWith>, Option<ContactProof>, bool, Option<Outcome>, Option<&'static str>);

/// I9: result × method × whom one met × proof × safe × outcome.
#[test]
fn a_visit_closes_an_alert_only_with_one_story() {
    use ContactProof as P;
    use ContactWith as C;
    use Outcome as O;
    use VisitMethod as M;
    use VisitResult as R;
    const PROOF: Option<&str> = Some("resolve.contact_proof");
    const OUTCOME: Option<&str> = Some("resolve.outcome");
    const SAFE: Option<&str> = Some("resolve.safe");
    const WHOM: Option<&str> = Some("contact_with");
    let table: [Row; 30] = [
        (R::Met, M::Door, Some(C::Senior), Some(P::SeenInPerson), true, Some(O::Overslept), None),
        (R::Met, M::Phone, Some(C::Senior), Some(P::SpokeWithPerson), true, Some(O::ForgotCurtain), None),
        (R::Met, M::Video, Some(C::Senior), Some(P::Video), true, None, None),
        (R::Met, M::Door, Some(C::Family), Some(P::FamilyWithPerson), true, Some(O::WithFamily), None),
        (R::Met, M::Door, Some(C::Senior), Some(P::SeenInPerson), false, Some(O::FallInjury), None),
        (R::NotMet, M::Door, Some(C::Neighbour), Some(P::SeenByNamedPerson), true, Some(O::OutToday), None),
        (R::NotMet, M::Door, None, Some(P::AgreedSignSeenLate), true, Some(O::ForgotCurtain), None),
        (R::NotMet, M::Phone, Some(C::Family), Some(P::FamilyWithPerson), true, Some(O::WithFamily), None),
        (R::NotMet, M::Door, None, Some(P::EmergencyServiceTookOver), false, Some(O::Missing), None),
        (R::Hospital, M::Phone, Some(C::Family), Some(P::HospitalConfirmed), false, Some(O::Hospital), None),
        (R::Deceased, M::Door, None, Some(P::SeenInPerson), false, Some(O::Deceased), None),
        (R::Deceased, M::Phone, Some(C::Family), Some(P::HospitalConfirmed), false, Some(O::Deceased), None),
        (R::Refused, M::Door, Some(C::Senior), Some(P::SpokeWithPerson), true, Some(O::RefusedContact), None),
        (R::Moved, M::Phone, Some(C::Family), Some(P::FamilyWithPerson), true, Some(O::Institution), None),
        (R::NotMet, M::Phone, None, Some(P::SeenInPerson), true, Some(O::ForgotCurtain), PROOF),
        (R::NotMet, M::Phone, Some(C::Senior), Some(P::SpokeWithPerson), true, None, WHOM),
        (R::Met, M::Phone, Some(C::Senior), Some(P::SeenInPerson), true, None, PROOF),
        (R::Met, M::Door, Some(C::Neighbour), Some(P::SeenInPerson), true, None, PROOF),
        (R::Met, M::Door, Some(C::Senior), Some(P::Video), true, None, PROOF),
        (R::NotMet, M::Phone, None, Some(P::AgreedSignSeenLate), true, None, PROOF),
        (R::NotMet, M::Door, Some(C::Neighbour), Some(P::FamilyWithPerson), true, None, PROOF),
        (R::Met, M::Door, Some(C::Senior), Some(P::HospitalConfirmed), true, None, PROOF),
        (R::Deceased, M::Phone, Some(C::Family), Some(P::SeenByNamedPerson), false, Some(O::Deceased), PROOF),
        (R::Deceased, M::Door, None, Some(P::SeenInPerson), true, Some(O::ForgotCurtain), OUTCOME),
        (R::Deceased, M::Door, None, Some(P::SeenInPerson), false, None, OUTCOME),
        (R::Deceased, M::Door, None, Some(P::SeenInPerson), true, Some(O::Deceased), SAFE),
        (R::Met, M::Door, Some(C::Senior), Some(P::SeenInPerson), false, Some(O::Deceased), OUTCOME),
        (R::Met, M::Door, Some(C::Senior), Some(P::SeenInPerson), true, Some(O::FallInjury), SAFE),
        (R::Hospital, M::Phone, Some(C::Family), Some(P::HospitalConfirmed), true, Some(O::Overslept), OUTCOME),
        (R::NotMet, M::Door, None, None, true, Some(O::SensorFault), SAFE),
    ];
    let one = [Uuid::from_u128(1)];
    for (result, method, contact_with, proof, safe, outcome, field) in table {
        let resolution = Resolution { safe, proof, proof_by: None, proof_at: None, outcome, note: None, return_date: None };
        let facts = VisitFacts {
            kind: VisitKind::AlertFollowup,
            alert_id: Some(Uuid::from_u128(2)),
            method,
            result,
            contact_with,
            resolve: Some(&resolution),
            ..visit(&one)
        };
        assert_eq!(refused(&facts).as_deref(), field, "{result} {method} {contact_with:?} {proof:?} safe {safe} {outcome:?}");
    }
}

#[test]
fn each_hazard_and_each_need_is_a_finding_and_what_is_in_order_is_none() {
    let safety = Safety(BTreeMap::from([
        (SafetyItem::Gas, SafetyState::Hazard),
        (SafetyItem::Fire, SafetyState::Ok),
        (SafetyItem::Locks, SafetyState::NotChecked),
    ]));
    let shopping = [Need { item: NeedItem::Shopping, note: None }];
    let items = |gone, waits| -> Vec<_> {
        findings(gone, waits, &safety, &shopping).into_iter().map(|found| (found.kind, found.item, found.service_class)).collect()
    };
    let always = [(FindingKind::Hazard, "gas", None), (FindingKind::Need, "shopping", Some("05"))];
    assert_eq!(items(None, false), always);
    let with_questions = items(Some(VisitResult::Deceased), true);
    assert_eq!(with_questions[..2], [(FindingKind::Circumstance, "deceased", None), (FindingKind::Circumstance, DOSSIER, None)]);
    assert_eq!(with_questions[2..], always);
}

#[test]
fn a_correction_opens_what_is_new_keeps_what_stays_and_withdraws_what_was_a_mistake() {
    let known = |n, item: &str, state, version| Known {
        id: Uuid::from_u128(n),
        kind: FindingKind::Hazard,
        item: item.to_owned(),
        note: None,
        state,
        version,
    };
    let before = [
        known(1, "gas", FindingState::Dispatched, 2),
        known(2, "locks", FindingState::Requested, 1),
        known(3, "fire", FindingState::Rated, 3),
        known(4, "fraud", FindingState::Withdrawn, 2),
        known(5, "electricity", FindingState::Rated, 2),
    ];
    let safety = [SafetyItem::Gas, SafetyItem::Fire, SafetyItem::Fraud].map(|item| (item, SafetyState::Hazard));
    let done = reconcile(&before, findings(None, false, &Safety(BTreeMap::from(safety)), &[]));
    assert_eq!(done.open.iter().map(|found| found.item).collect::<Vec<_>>(), ["fraud"], "it was withdrawn, and is there after all");
    assert_eq!(done.withdraw, [(Uuid::from_u128(2), 1)], "what is done stays done");
    assert_eq!(done.reword, []);
}

#[test]
fn a_request_only_moves_forward() {
    assert!(FindingState::Requested.may_become(FindingState::Dispatched));
    assert!(FindingState::Requested.may_become(FindingState::Rated));
    assert!(FindingState::Accepted.may_become(FindingState::Withdrawn));
    assert!(!FindingState::Accepted.may_become(FindingState::Dispatched));
    assert!(!FindingState::Rated.may_become(FindingState::Rated));
    assert!(!FindingState::Rated.may_become(FindingState::Withdrawn));
    assert!(!FindingState::Withdrawn.may_become(FindingState::Requested));
}
