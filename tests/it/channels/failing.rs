//! A channel that fails as a whole: its sender is killed, it is dead for minutes, it hangs, its clock or ours is wrong, its token ends.

use chenlian::app::App;
use chenlian::domain::message::Channel;
use chenlian::domain::rules::Span;
use chenlian::jobs::{deliver, escalate};
use chrono::TimeDelta;

use super::email::{Fault, Script};
use super::fake::{Break, Fake, Play};
use super::providers::{CHANNELS, Providers, members, until, ways};
use super::{aliyun, tencent};
use crate::cli::binary::free_port;
use crate::harness::{World, declare_channels, local, on_each_engine};
use crate::morning::alerts;
use crate::outbox::{cutoff, instance, later, number, shut_morning, silence, tell, texts};

async fn deliver(app: &App) -> deliver::Report {
    deliver::run_once(app).await.expect("the outbox passes")
}

/// The tokens are granted; what follows breaks.
fn after_the_token(channel: Channel, plays: Vec<Play>) -> Vec<Play> {
    let first = matches!(channel, Channel::WecomApp | Channel::OfficialAccount).then_some(Play::Judge);
    first.into_iter().chain(plays).collect()
}

/// I11, I12: the providers have said yes, and the process dies before it has written that down.
#[tokio::test]
async fn a_sender_that_is_killed_after_the_providers_said_yes_loses_nothing_and_repeats_the_same() {
    on_each_engine(|app| async move {
        let providers = Providers::start(&app.clock, |channel| after_the_token(channel, vec![Play::After(Break::Hang)])).await;
        let letters = Script::start(".", Some(Fault::Hang)).await;
        let app = instance(&app, |config| {
            providers.settings(config);
            letters.settings(config);
            config.outbox.attempt_timeout = Span::minutes(10);
        });
        declare_channels(&app).await;
        let world = World::seed(&app, 0).await;
        let people = members(&app, &world, 6).await;
        let mut all: Vec<_> =
            CHANNELS.into_iter().enumerate().map(|(n, channel)| (people[n], 0, channel, providers.address(channel, n))).collect();
        all.push((people[5], 0, Channel::Email, "wang@example.org".to_owned()));
        ways(&app, world.site, all).await;
        tell(&app, world.site, &people, 1).await;
        let dying = instance(&app, |_| {});
        let killed = tokio::spawn(async move { deliver::run_once(&dying).await });
        until(|| letters.letters().len() == 1 && CHANNELS.iter().all(|channel| providers.of(*channel).accepted().len() == 1)).await;
        killed.abort();
        assert!(killed.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(number(&app, "select count(*) from message_attempt").await, 0, "nothing was written down");
        later(&app, 59);
        assert_eq!(deliver(&app).await.sent, 0, "its lease still lives");
        later(&app, 1);
        assert_eq!(deliver(&app).await.sent, 6, "all are taken over");
        assert_eq!(texts(&app, "select distinct state from notice").await, ["delivered"]);
        for channel in [Channel::AliyunSms, Channel::WecomApp, Channel::OfficialAccount, Channel::Webhook] {
            assert_eq!(providers.of(channel).accepted().len(), 1, "{channel}: a person sees it once");
        }
        let [first, second] = &providers.tencent.accepted()[..] else { panic!("{:?}", providers.tencent.accepted()) };
        assert_eq!(*second, format!("{first}补发"), "too late for a probe: the copy says what it is");
        let [first, second] = &letters.letters()[..] else { panic!("two letters") };
        assert_eq!(first, second, "the same letter with the same Message-ID");
    })
    .await;
}

/// I15, I11: ten minutes of silence on her first channel, and her second one speaks before other people are asked.
#[tokio::test]
async fn when_a_channel_is_dead_for_ten_minutes_the_next_one_fires_before_the_ladder_s_next_level() {
    for dead in [Some(Break::Hang), Some(Break::Status(502)), None] {
        on_each_engine(|app| async move {
            let silent: Vec<Play> = dead.into_iter().flat_map(|dead| vec![Play::Before(dead); 1_000]).collect();
            let plays = |channel| if channel == Channel::WecomApp { silent.clone() } else { Vec::new() };
            let providers = Providers::start(&app.clock, plays).await;
            let app = instance(&app, |config| {
                providers.settings(config);
                config.outbox.attempt_timeout = Span::seconds(1);
                if dead.is_none() {
                    config.channels.wecom_app.base_url = format!("http://127.0.0.1:{}", free_port());
                }
            });
            declare_channels(&app).await;
            let world = shut_morning(&app, 1).await;
            silence(&app, world.primary).await;
            let list = [Channel::WecomApp, Channel::AliyunSms].into_iter().enumerate();
            ways(&app, world.site, list.map(|(n, channel)| (world.primary, n + 2, channel, providers.address(channel, 1))).collect()).await;
            cutoff(&app).await;
            let mut texted_at = None;
            while app.clock.now() < local("09:55:00") {
                deliver(&app).await;
                if texted_at.is_none() && providers.aliyun.accepted().len() == 1 {
                    texted_at = Some(app.clock.now());
                    assert_eq!(alerts(&app).await[0].2, 0, "nobody else was asked before");
                }
                later(&app, 5);
                escalate::run_once(&app).await.expect("the ladder passes");
            }
            assert!(texted_at.is_some_and(|at| at < local("09:50:00")), "{dead:?}: {texted_at:?}");
            assert_eq!(alerts(&app).await[0].2, 1, "the ladder went on at its own pace");
            assert_eq!(providers.aliyun.accepted().len(), 1, "{dead:?}: once");
        })
        .await;
    }
}

/// The same in a crowd: a provider that hangs takes eight at a time, a quarter of a minute each, and the last of a hundred must not
/// wait for all of them.
#[tokio::test]
async fn a_crowd_on_a_channel_that_hangs_moves_on_before_the_ladder_does() {
    const CROWD: usize = 100;
    on_each_engine(|app| async move {
        let providers = Providers::start(&app.clock, |_| Vec::new()).await;
        let (clock, mut asked, together) = (app.clock.clone(), 0, app.config.outbox.concurrency);
        // Each round of attempts lasts as long as an attempt may.
        let hanging = Fake::start(&vec![Play::After(Break::Hang); 10_000], move |_, _| {
            asked += 1;
            if asked % together == 0 {
                clock.advance(TimeDelta::seconds(15));
            }
            super::fake::Answer::text(200, "")
        })
        .await;
        let app = instance(&app, |config| {
            providers.settings(config);
            aliyun::settings(config, &hanging);
            config.outbox.attempt_timeout = Span::seconds(1);
        });
        declare_channels(&app).await;
        let world = World::seed(&app, 0).await;
        let people = members(&app, &world, CROWD).await;
        let list = people.iter().enumerate().flat_map(|(number, member)| {
            let addressed = |channel| providers.address(channel, number);
            [(*member, 0, Channel::AliyunSms, addressed(Channel::AliyunSms)), (*member, 1, Channel::WecomApp, addressed(Channel::WecomApp))]
        });
        ways(&app, world.site, list.collect()).await;
        let began = app.clock.now();
        tell(&app, world.site, &people, 1).await;
        while number(&app, "select count(*) from notice where state <> 'delivered'").await > 0 {
            deliver(&app).await;
            assert!(app.clock.now() - began < TimeDelta::minutes(5), "the ladder's next level comes first");
            later(&app, 1);
        }
        println!(
            "{CROWD} people moved on within {} s, {} requests hung",
            (app.clock.now() - began).num_seconds(),
            hanging.requests().len()
        );
        assert_eq!(providers.company.fake.accepted().len(), CROWD);
    })
    .await;
}

/// A clock that is two hours off: an alarm by another way, the accounts off, no loop, and people are told by what still works.
#[tokio::test]
async fn a_clock_that_is_two_hours_off_is_an_alarm_and_no_loop() {
    for hours in [2, -2] {
        on_each_engine(|app| async move {
            let providers = Providers::start(&app.clock, |_| Vec::new()).await;
            let clock = app.clock.clone();
            let sms = aliyun::sms_service_at(&[], true, move || clock.now() - TimeDelta::hours(hours)).await;
            let other = tencent::service_at(&[], move |stamp| stamp - hours * 3_600).await;
            let app = instance(&app, |config| {
                providers.settings(config);
                aliyun::settings(config, &sms);
                tencent::settings(config, &other);
            });
            declare_channels(&app).await;
            let world = shut_morning(&app, 1).await;
            silence(&app, world.primary).await;
            let list = [Channel::AliyunSms, Channel::TencentSms, Channel::WecomApp].into_iter().enumerate();
            ways(&app, world.site, list.map(|(n, channel)| (world.primary, n + 2, channel, providers.address(channel, 1))).collect()).await;
            cutoff(&app).await;
            deliver(&app).await;
            assert_eq!(providers.company.fake.accepted().len(), 1, "she is told by her third channel at once");
            for _ in 0..60 {
                later(&app, 60);
                deliver(&app).await;
                tell(&app, world.site, &[world.primary], 1).await;
            }
            assert_eq!((sms.requests().len(), other.requests().len()), (1, 1), "nobody asks a provider that refuses");
            let why = texts(&app, "select fault_why from channel_account where fault_at is not null order by channel").await;
            assert_eq!(why, ["clock: InvalidTimeStamp.Expired", "clock: AuthFailure.SignatureExpire"]);
            let told = "select count(*) from notice n join role_grant g on g.member_id = n.recipient_id and g.role = 'operator'
                where n.key = 'notice.account_refused' and n.state = 'delivered'";
            assert_eq!(number(&app, told).await, 2, "the operator hears of both by another way");
            assert_eq!(providers.company.fake.accepted().len(), 60, "and she of everything that followed");
        })
        .await;
    }
}

/// I15, with the loop itself: while every place of one provider hangs, the others send.
#[tokio::test]
async fn one_provider_that_hangs_delays_no_other() {
    for hanging in [Channel::WecomApp, Channel::AliyunSms] {
        on_each_engine(|app| async move {
            let hang =
                |channel| if channel == hanging { after_the_token(channel, vec![Play::Before(Break::Hang); 100]) } else { Vec::new() };
            let providers = Providers::start(&app.clock, hang).await;
            // Nothing that hangs ends by itself within this test.
            let app = instance(&app, |config| {
                providers.settings(config);
                config.outbox.attempt_timeout = Span::minutes(10);
                config.outbox.lease = Span::minutes(20);
            });
            declare_channels(&app).await;
            let world = World::seed(&app, 0).await;
            let people = members(&app, &world, 34).await;
            let healthy: Vec<Channel> = CHANNELS.into_iter().filter(|channel| *channel != hanging).collect();
            let channel_of = |number: usize| if number < 30 { hanging } else { healthy[number - 30] };
            let list = people.iter().enumerate().map(|(n, member)| (*member, 0, channel_of(n), providers.address(channel_of(n), n)));
            ways(&app, world.site, list.collect()).await;
            tell(&app, world.site, &people[..30], 1).await;
            let (stop, stopped) = tokio::sync::watch::channel(false);
            let running = tokio::spawn(deliver::run(app.clone(), stopped));
            let places = app.config.outbox.concurrency + usize::from(hanging == Channel::WecomApp);
            until(|| providers.of(hanging).requests().len() == places).await;
            tell(&app, world.site, &people[30..], 1).await;
            app.wake.deliver.notify_one();
            until(|| healthy.iter().all(|channel| providers.of(*channel).accepted().len() == 1)).await;
            assert_eq!(providers.of(hanging).requests().len(), places, "one provider holds its own places only");
            let ended = number(&app, "select count(*) from message_attempt where outcome <> 'sent'").await;
            assert_eq!(ended, 0, "all of that while every one of them still hung");
            running.abort();
            drop(stop);
        })
        .await;
    }
}

/// The token ends in the middle of a burst of the outbox: one of all its senders fetches another.
#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_burst_is_fetched_once_more() {
    on_each_engine(|app| async move {
        let providers = Providers::start(&app.clock, |_| Vec::new()).await;
        let app = instance(&app, |config| {
            providers.settings(config);
            config.outbox.concurrency = 60;
        });
        declare_channels(&app).await;
        let world = World::seed(&app, 0).await;
        let people = members(&app, &world, 120).await;
        let channel = |number: usize| if number < 60 { Channel::WecomApp } else { Channel::OfficialAccount };
        ways(
            &app,
            world.site,
            people.iter().enumerate().map(|(n, member)| (*member, 0, channel(n), providers.address(channel(n), n))).collect(),
        )
        .await;
        tell(&app, world.site, &people, 1).await;
        assert_eq!(deliver(&app).await.sent, 120);
        let tokens = |fake: &Fake, path: &str| fake.requests().iter().filter(|request| request.path == path).count();
        assert_eq!(providers.company.tokens(), 2, "one at first, one when it had ended");
        assert_eq!(tokens(&providers.official, "/cgi-bin/stable_token"), 2);
        assert_eq!((providers.company.fake.accepted().len(), providers.official.accepted().len()), (60, 60));
        // The loop that comes back later has not forgotten it.
        tell(&app, world.site, &people[..1], 1).await;
        later(&app, 10);
        assert_eq!(deliver(&app).await.sent, 1);
        assert_eq!(providers.company.tokens(), 2);
    })
    .await;
}

/// I12: a text that was certainly refused at first and is in doubt later can still be probed, because its half minute begins with the
/// doubt; and what is in doubt is repeated under the time that it was first signed with.
#[tokio::test]
async fn what_was_refused_is_signed_anew_and_what_is_in_doubt_is_not() {
    on_each_engine(|app| async move {
        let plays = [Play::Before(Break::Status(503)), Play::After(Break::Reset)];
        let providers = Providers::start(&app.clock, |_| plays.to_vec()).await;
        let app = instance(&app, |config| providers.settings(config));
        declare_channels(&app).await;
        let world = World::seed(&app, 0).await;
        let people = members(&app, &world, 2).await;
        let list = [Channel::AliyunSms, Channel::TencentSms].into_iter().enumerate();
        ways(&app, world.site, list.map(|(n, channel)| (people[n], 0, channel, providers.address(channel, n))).collect()).await;
        tell(&app, world.site, &people, 1).await;
        for wait in [0, 40, 20] {
            later(&app, wait);
            deliver(&app).await;
        }
        assert_eq!(texts(&app, "select distinct state from notice").await, ["delivered"]);
        for channel in [Channel::AliyunSms, Channel::TencentSms] {
            assert_eq!(providers.of(channel).accepted().len(), 1, "{channel}: {:?}", providers.of(channel).accepted());
        }
        let dates: Vec<String> = providers.aliyun.requests().iter().map(|request| request.header("x-acs-date").to_owned()).collect();
        assert!(dates[0] != dates[1] && dates[1] == dates[2], "{dates:?}");
    })
    .await;
}
