//! Family who agreed to be told: texts and calls at L2, one contact after the other, and what they answer by the link.

use chenlian::app::App;
use chenlian::domain::case::{Act, Actor, Resolution};
use chenlian::domain::outcome::{ContactProof, Outcome};
use chenlian::domain::rules::Span;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{deliver, escalate};
use chenlian::on;
use chenlian::store::case;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::fake::{Answer, Fake, Play};
use super::story::{CALLBACK_KEY, alert_id, by_telephone, provider, pushed, templates};
use crate::browser::driver::{Browser, Screen};
use crate::harness::{World, declare_channels, local, on_each_engine, on_sqlite};
use crate::http::Server;
use crate::morning::{alerts, look, pass_at};
use crate::outbox::{change, cutoff, instance, later, number, shut_morning, texts};

/// The same server with these providers and the templates for contacts.
async fn with(app: &App, sms: &Fake, voice: Option<&Fake>) -> App {
    let app = instance(app, |config| {
        templates(config, &sms.url, voice.map_or("http://127.0.0.1:9", |voice| &voice.url));
        if voice.is_none() {
            config.channels.aliyun_voice.access_key_id.clear();
        }
        for templates in [&mut config.channels.aliyun_sms.templates, &mut config.channels.aliyun_voice.templates] {
            for (kind, number) in [
                (&mut templates.contact, "T_FAMILY"),
                (&mut templates.contact_well, "T_FAMILY_WELL"),
                (&mut templates.contact_handled, "T_FAMILY_HANDLED"),
            ] {
                number.clone_into(kind);
            }
        }
        config.outbox.attempt_timeout = Span::seconds(2);
    });
    declare_channels(&app).await;
    app
}

/// The family of the first senior, in this order, and her consent that they are told.
async fn family(app: &App, world: &World, contacts: &[(&'static str, &'static str, bool)]) {
    let (site, senior, now, contacts) = (world.site, world.seniors[0], app.clock.now(), contacts.to_vec());
    app.write(move |mut tx| async move {
        let sql = "insert into consent (site_id, id, senior_id, scope, given_at, given_how, version, created_at)
            values ($1, $2, $3, 'family_contact', $4, '纸上', 1, $4)";
        on!(&mut tx, |conn| sqlx::query(sql).bind(site).bind(Uuid::now_v7()).bind(senior).bind(now).execute(conn).await.map(|_| ()))?;
        for (position, (relation, phone, agreed)) in (1_i64..).zip(contacts) {
            let sql = "insert into contact (site_id, id, senior_id, position, name, relation, phone, agreed_automatic, version, created_at)
                values ($1, $2, $3, $4, '张小满', $5, $6, $7, 1, $8)";
            on!(&mut tx, |conn| sqlx::query(sql)
                .bind(site)
                .bind(Uuid::now_v7())
                .bind(senior)
                .bind(position)
                .bind(relation)
                .bind(phone)
                .bind(agreed)
                .bind(now)
                .execute(conn)
                .await
                .map(|_| ()))?;
        }
        Ok((tx, ()))
    })
    .await
    .expect("the family is stored");
}

const DAUGHTER: &str = "13700000001";
const SON: &str = "13700000002";
const NIECE: &str = "13700000003";
const ALL: [(&str, &str, bool); 3] = [("女儿", DAUGHTER, true), ("儿子", SON, true), ("侄女", NIECE, true)];

/// Everything that is due at this time of the morning happens.
async fn at(app: &App, time: &str) {
    pass_at(app, local(time)).await;
    deliver::run_once(app).await.expect("the outbox passes");
}

/// Numbers and templates of what the provider of texts was asked to send.
fn sent(sms: &Fake) -> Vec<(String, String)> {
    sms.requests().iter().map(|request| (request.parameter("PhoneNumbers"), request.parameter("TemplateCode"))).collect()
}

fn to(number: &str, template: &str) -> (String, String) {
    (number.to_owned(), template.to_owned())
}

fn rung(voice: &Fake) -> Vec<String> {
    voice.requests().iter().map(|request| request.parameter("CalledNumber")).collect()
}

/// The path of the link in a text, and its key.
fn link(sms: &Fake, text: usize) -> (String, String) {
    let said: serde_json::Value = serde_json::from_str(&sms.requests()[text].parameter("TemplateParam")).expect("JSON");
    let path = format!("/{}", said["link"].as_str().expect("a link"));
    let key = path.strip_prefix("/f/").expect("a link for contacts").to_owned();
    (path, key)
}

async fn timeline(app: &App) -> Vec<String> {
    texts(app, "select kind from alert_event where kind like 'contact%' order by at, id").await
}

/// What a member was told of the family.
async fn relayed(app: &App) -> Vec<String> {
    texts(app, "select key from notice where recipient_kind = 'member' and key like 'notice.contact%' order by created_at, id").await
}

async fn seen(app: &App, world: &World, outcome: Outcome, safe: bool) {
    let (site, alert, now, by) = (world.site, alert_id(app).await, app.clock.now(), world.primary);
    let resolution = Resolution {
        safe,
        proof: Some(ContactProof::SeenInPerson),
        proof_by: None,
        proof_at: None,
        outcome: Some(outcome),
        note: None,
        return_date: None,
    };
    let actor = Actor { id: by, may_silence: false, may_confirm: false };
    app.write(move |mut tx| async move {
        case::act(&mut tx, site, alert, actor, Act::Resolve(resolution), now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("she was seen");
}

/// The first does not answer, the second goes: the third is not told, the ladder goes on, and at the end both hear that all is well.
#[tokio::test]
async fn one_contact_after_the_other_is_told_until_one_goes_and_those_told_hear_how_it_ended() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, Some(&voice)).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &ALL).await;
        cutoff(&app).await;
        at(&app, "10:04:59").await;
        assert_eq!(sent(&sms), [], "not before L2");
        at(&app, "10:05:00").await;
        // Twice, as after a kill between two steps of a job.
        at(&app, "10:05:00").await;
        assert_eq!(sent(&sms), [to(DAUGHTER, "T_FAMILY")]);
        assert_eq!(rung(&voice), [""; 0], "the text is there first");
        at(&app, "10:06:01").await;
        assert_eq!(rung(&voice), [DAUGHTER]);
        assert_eq!(voice.requests()[0].parameter("TtsParam"), "{}", "a call says nothing about anybody");
        at(&app, "10:07:59").await;
        assert_eq!(sent(&sms).len(), 1);
        at(&app, "10:08:00").await;
        at(&app, "10:08:00").await;
        assert_eq!(sent(&sms), [to(DAUGHTER, "T_FAMILY"), to(SON, "T_FAMILY")]);
        let said = sms.requests()[1].parameter("TemplateParam");
        assert!(!said.contains('张') && !said.contains('楼'), "{said}");

        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let (path, key) = link(&sms, 1);
        let page = stranger.request(Method::GET, &path).header("accept-language", "zh").send().await.expect("a page");
        let page = page.text().await.expect("text");
        assert!(page.contains("张奶奶0") && page.contains("3号楼") && page.contains("reached"), "{page}");
        assert!(!page.contains("401") && !page.contains("0351") && !page.contains("王师傅"), "neither door nor phone nor a member: {page}");
        assert_eq!(relayed(&app).await, Vec::<String>::new(), "looking answers nothing");
        let answer = |answer: &str, minutes: Option<i64>| json!({ "key": key, "answer": answer, "minutes": minutes });
        assert_eq!(stranger.post("/api/v1/contact-answers", answer("going", Some(-1))).await.0, StatusCode::BAD_REQUEST);
        let (status, answered) = stranger.post("/api/v1/contact-answers", answer("going", Some(15))).await;
        assert_eq!(status, StatusCode::OK, "{answered}");
        assert_eq!(stranger.post("/api/v1/contact-answers", answer("going", Some(15))).await.0, StatusCode::OK, "a second tap");
        assert_eq!(relayed(&app).await, ["notice.contact_going"; 2], "the assigned member and the social worker, once");
        at(&app, "10:09:30").await;
        at(&app, "10:12:00").await;
        assert_eq!((sent(&sms).len(), rung(&voice).len()), (2, 1), "nobody else of the family, and no call to who has answered");
        at(&app, "10:15:00").await;
        assert_eq!(alerts(&app).await[0].2, 4, "L3 at its time, and L4 because nobody here has a key");
        let told = timeline(&app).await;
        assert_eq!(told, ["contact_texted", "contact_called", "contact_texted", "contact_going"]);
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, detail) = worker.get(&format!("/api/v1/alerts/{}", alert_id(&app).await)).await;
        assert_eq!(detail["contacts_told"][1]["relation"], "儿子", "{detail}");
        assert_eq!((&detail["contacts_told"][1]["answer"], &detail["contacts_told"][1]["minutes"]), (&json!("going"), &json!(15)));
        assert!(!detail["contacts_told"].to_string().contains("1370000"), "no numbers: {detail}");
        let page = worker.request(Method::GET, &format!("/alerts/{}", alert_id(&app).await)).send().await.expect("a page").text().await;
        assert!(page.expect("text").contains("family-told"));

        later(&app, 60);
        seen(&app, &world, Outcome::Overslept, true).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        let mut over = sent(&sms).split_off(2);
        over.sort();
        assert_eq!(over, [to(DAUGHTER, "T_FAMILY_WELL"), to(SON, "T_FAMILY_WELL")]);
        assert_eq!(
            stranger.post("/api/v1/contact-answers", answer("cannot", None)).await.0,
            StatusCode::NOT_FOUND,
            "it ends with the alert"
        );
        let gone = stranger.request(Method::GET, &path).send().await.expect("a page");
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
        assert!(!gone.text().await.expect("text").contains("张奶奶"));
        assert_eq!(number(&app, "select count(*) from audit where act = 'contact_going'").await, 1);
    })
    .await;
}

/// The page behind the link, on the daughter's phone and at her desk: no sign-in, three large answers, and what she said can be changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daughter_answers_with_her_thumb_and_thinks_better_of_it() {
    on_sqlite(&async |app: App| {
        let sms = provider(&[], "b").await;
        let app = with(&app, &sms, None).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &ALL).await;
        cutoff(&app).await;
        at(&app, "10:05:00").await;
        // The browser comes by the address of the test, and not by that of the link.
        let server = Server::start(&instance(&app, |config| config.http.public_url.clear())).await;
        let profile = tempfile::tempdir().expect("a temporary folder");
        let (path, _) = link(&sms, 0);
        for screen in [Screen::Phone, Screen::Desk] {
            let Some(browser) = Browser::open(&server.url(""), screen, &profile.path().join(format!("{screen:?}"))).await else { return };
            browser.go(&path).await;
            browser.read("张奶奶0现在还没联系上").await;
            browser.look("family").await;
            browser.tap("button[data-answer=cannot]").await;
            browser.read("您说去不了，也联系不上").await;
            browser.write("#minutes", "15").await;
            browser.tap("button[data-answer=going]").await;
            browser.read("您说了过去看看").await;
            browser.read("（约15分钟到）").await;
            browser.look("family-going").await;
            assert_eq!(browser.complaints().await, Vec::<String>::new());
        }
        later(&app, 60);
        seen(&app, &world, Outcome::Overslept, true).await;
        let Some(browser) = Browser::open(&server.url(""), Screen::Phone, &profile.path().join("over")).await else { return };
        browser.go(&path).await;
        browser.read("这件事已经有结果了").await;
        browser.look("family-over").await;
    })
    .await;
}

/// "No" by the link and a number that takes nothing bring the next at once; who said yes may take it back; a medical end is not told.
#[tokio::test]
async fn a_no_and_a_dead_number_bring_the_next_and_a_yes_can_be_taken_back() {
    on_each_engine(|app| async move {
        let refusal = |code: &str| Play::Answer(Answer::json(200, &json!({ "Code": code, "Message": "x", "RequestId": "r" })));
        let sms = provider(&[Play::Judge, refusal("isv.MOBILE_NUMBER_ILLEGAL")], "b").await;
        let app = with(&app, &sms, None).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &ALL).await;
        cutoff(&app).await;
        at(&app, "10:05:00").await;
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let key = link(&sms, 0).1;
        let answer = |answer: &str| json!({ "key": key, "answer": answer });
        assert_eq!(stranger.post("/api/v1/contact-answers", answer("cannot")).await.0, StatusCode::OK);
        at(&app, "10:05:30").await;
        at(&app, "10:05:30").await;
        assert_eq!(sent(&sms), [to(DAUGHTER, "T_FAMILY"), to(SON, "T_FAMILY"), to(NIECE, "T_FAMILY")], "the son's number is none");
        assert_eq!(timeline(&app).await, ["contact_texted", "contact_cannot", "contact_unreached", "contact_texted"]);
        assert_eq!(relayed(&app).await, Vec::<String>::new());
        assert_eq!(stranger.post("/api/v1/contact-answers", answer("reached")).await.0, StatusCode::OK);
        assert_eq!(alerts(&app).await[0].0, "open", "what the family says on the phone resolves nothing");
        assert_eq!(stranger.post("/api/v1/contact-answers", answer("cannot")).await.0, StatusCode::OK);
        let mut told = relayed(&app).await;
        told.sort();
        assert_eq!(told, ["notice.contact_cannot", "notice.contact_cannot", "notice.contact_reached", "notice.contact_reached"]);
        at(&app, "10:20:00").await;
        assert_eq!(sent(&sms).len(), 3, "everybody was told once");
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 0, "it is no rung that failed");
        seen(&app, &world, Outcome::Unwell, false).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        let mut over = sent(&sms).split_off(3);
        over.sort();
        assert_eq!(over, [to(DAUGHTER, "T_FAMILY_HANDLED"), to(NIECE, "T_FAMILY_HANDLED")], "only who was told, and nothing about health");
    })
    .await;
}

/// A telephone that nobody takes rings once more, and then the turn is over; the timeline says so.
#[tokio::test]
async fn a_contact_who_does_not_take_the_telephone_is_rung_twice_and_the_next_is_told() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, Some(&voice)).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &ALL[..2]).await;
        cutoff(&app).await;
        let server = Server::start(&app).await;
        let untaken = |call: &str| json!([{ "call_id": call, "status_code": "200003", "duration": 0 }]);
        at(&app, "10:05:00").await;
        at(&app, "10:06:01").await;
        assert_eq!(pushed(&server, "aliyun_voice", CALLBACK_KEY, untaken("v1")).await, StatusCode::OK);
        at(&app, "10:07:10").await;
        assert_eq!(rung(&voice), [DAUGHTER, DAUGHTER]);
        assert_eq!(pushed(&server, "aliyun_voice", CALLBACK_KEY, untaken("v2")).await, StatusCode::OK);
        at(&app, "10:07:30").await;
        assert_eq!(sent(&sms), [to(DAUGHTER, "T_FAMILY"), to(SON, "T_FAMILY")], "half a minute before her turn would have ended");
        let expected = ["contact_texted", "contact_called", "contact_no_answer", "contact_called", "contact_no_answer", "contact_texted"];
        assert_eq!(timeline(&app).await, expected);
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'unanswered'").await, 0, "it is no rung");
    })
    .await;
}

#[tokio::test]
async fn a_claim_holds_the_family_back_until_it_runs_out() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, Some(&voice)).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &ALL).await;
        cutoff(&app).await;
        at(&app, "10:05:00").await;
        let (site, alert, by) = (world.site, alert_id(&app).await, world.primary);
        later(&app, 30);
        let now = app.clock.now();
        let claimed = app.write(move |mut tx| async move {
            let actor = Actor { id: by, may_silence: false, may_confirm: false };
            case::act(&mut tx, site, alert, actor, Act::Claim, now).await?;
            Ok((tx, ()))
        });
        claimed.await.expect("she goes");
        for time in ["10:06:30", "10:08:30", "10:15:00", "10:20:00"] {
            at(&app, time).await;
        }
        assert_eq!((sent(&sms).len(), rung(&voice).len()), (1, 0), "somebody is going");
        at(&app, "10:20:31").await;
        assert_eq!(sent(&sms).len(), 2, "no word from her: the next of the family");
    })
    .await;
}

/// Who may not be told is not, and where nothing reaches the family the alert says so and the ladder tells whom to phone.
#[tokio::test]
async fn nobody_of_the_family_is_told_without_consent_in_trial_or_by_a_channel_without_their_templates() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let plain = app;
        let app = with(&plain, &sms, Some(&voice)).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &[("儿子", SON, false), ("侄女", "03517001234", true), ("女儿", DAUGHTER, true)]).await;
        let withdraw = "update consent set withdrawn_at = given_at";
        change(&app, withdraw).await;
        cutoff(&app).await;
        at(&app, "10:12:00").await;
        assert_eq!((sent(&sms).len(), timeline(&app).await.len()), (0, 0), "her consent is withdrawn");
        assert_eq!(number(&app, "select count(*) from notice where key = 'notice.alert_family'").await, 2, "the ladder tells all the same");

        // Opened anew for each case: the same morning, another state of the register.
        let again = "update alert set epoch = epoch + 1, epoch_at = opened_at, level = 1, next_action_at = opened_at";
        let steps = "insert into ladder_step (site_id, alert_id, epoch, step, level, act, due_at, due_if_claimed_at, due_if_unseen_at, held, state, told)
            select s.site_id, s.alert_id, a.epoch, s.step, s.level, s.act, s.due_at, s.due_if_claimed_at, s.due_if_unseen_at, s.held, 'pending', 0
            from ladder_step s join alert a on a.site_id = s.site_id and a.id = s.alert_id where s.epoch = a.epoch - 1 and s.act = 'family'";
        change(&app, "update consent set withdrawn_at = null").await;
        change(&app, again).await;
        change(&app, steps).await;
        let silent = instance(&app, |config| {
            for templates in [&mut config.channels.aliyun_sms.templates, &mut config.channels.aliyun_voice.templates] {
                templates.contact.clear();
                templates.contact_well.clear();
                templates.contact_handled.clear();
            }
        });
        declare_channels(&silent).await;
        at(&silent, "10:12:30").await;
        assert_eq!((sent(&sms).len(), timeline(&app).await), (0, vec!["contacts_untold".to_owned()]));

        declare_channels(&app).await;
        change(&app, again).await;
        change(&app, steps).await;
        at(&app, "10:13:00").await;
        at(&app, "10:20:00").await;
        assert_eq!(sent(&sms), [to(DAUGHTER, "T_FAMILY")], "the one who agreed and has a mobile");
    })
    .await;
    on_each_engine(|app| async move {
        let sms = provider(&[], "b").await;
        let app = with(&app, &sms, None).await;
        let world = shut_morning(&app, 1).await;
        family(&app, &world, &ALL).await;
        change(&app, "update place set trial_until = '2026-12-31' where kind = 'compound'").await;
        cutoff(&app).await;
        at(&app, "10:40:00").await;
        assert_eq!((sent(&sms).len(), timeline(&app).await.len()), (0, 0), "a trial frightens no family");
    })
    .await;
}

/// A member who has a text and takes no call counts as unheard: the rung after hers comes, not earlier than that (I11, I14).
#[tokio::test]
async fn a_text_that_arrived_and_three_calls_that_nobody_took_bring_the_next_rung() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, Some(&voice)).await;
        let world = shut_morning(&app, 1).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        // The door's rung alone is a quarter of an hour away: what brings it forward is the telephone.
        change(&app, "update ladder_step set due_at = due_if_unseen_at, held = true where act = 'door'").await;
        change(&app, "update ladder_step set state = 'void' where act = 'again'").await;
        let door = "update ladder_step set due_at = (select f.due_at from ladder_step f where f.act = 'family'),
            due_if_unseen_at = (select f.due_at from ladder_step f where f.act = 'family') where act = 'door'";
        change(&app, door).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        let server = Server::start(&app).await;
        let arrived = json!([{ "phone_number": "13900000001", "success": true, "err_code": "DELIVERED", "biz_id": "b1" }]);
        assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, arrived).await, StatusCode::OK);
        later(&app, 181);
        for call in 1..=3 {
            deliver::run_once(&app).await.expect("the outbox passes");
            escalate::run_once(&app).await.expect("the ladder passes");
            assert_eq!((rung(&voice).len(), alerts(&app).await[0].2), (call, 0), "the ladder waits while it rings");
            let untaken = json!([{ "call_id": format!("v{call}"), "status_code": "200003", "duration": 0 }]);
            for _ in 0..2 {
                assert_eq!(pushed(&server, "aliyun_voice", CALLBACK_KEY, untaken.clone()).await, StatusCode::OK);
            }
            later(&app, 66);
        }
        escalate::run_once(&app).await.expect("the ladder passes");
        assert_eq!(alerts(&app).await[0].2, 1, "the next rung, and no other");
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'unanswered'").await, 1);
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 0);
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!((sent(&sms).len(), rung(&voice).len()), (1, 3), "she herself is left alone");
        look(&app, &world, 0, SignalKind::SeenInPerson, app.clock.now()).await;
    })
    .await;
}
