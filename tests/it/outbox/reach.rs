//! A ladder that would reach nobody is told before it is needed (I16).

use chenlian::jobs::reach;

use super::{change, number, texts};
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

#[tokio::test]
async fn whoever_can_close_a_gap_hears_of_it_at_eight_and_again_half_an_hour_before_the_deadline_if_it_is_open() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        change(&app, "update home set key_holder_member_id = (select member_id from role_grant where role = 'building_lead')").await;
        set(&app, local("00:10:00")).await;
        let first = reach::run_once(&app).await.expect("a look");
        assert_eq!((first.looked, first.notices), (1, 0), "everybody can be reached");
        assert_eq!(reach::run_once(&app).await.expect("no look").looked, 0, "once a night");

        change(
            &app,
            "update member_channel set verified_at = null where member_id in (select member_id from pairing where kind = 'primary')",
        )
        .await;
        change(
            &app,
            "insert into audit (site_id, id, at, act, object_kind, fields)
             select site_id, id, created_at, 'change', 'member_channel', '[]' from member_channel",
        )
        .await;
        set(&app, local("00:20:00")).await;
        change_time(&app).await;
        set(&app, local("00:21:00")).await;
        assert_eq!(reach::run_once(&app).await.expect("no look").looked, 0, "somebody may still be typing");
        set(&app, local("00:22:00")).await;
        let told = reach::run_once(&app).await.expect("a look");
        assert_eq!((told.looked, told.notices), (1, 3), "secretary, social worker, operator");
        let waiting = "select count(*) from notice where key = 'notice.unreachable' and not_before > created_at";
        assert_eq!(number(&app, waiting).await, 3, "nobody is woken at night");
        let arguments = texts(&app, "select distinct arguments from notice where key = 'notice.unreachable'").await;
        assert_eq!(arguments, [r#"{"building":"3号楼","count":"2"}"#], "one grouped notice");

        // A winter morning: the deadline is 09:30.
        set(&app, local("08:59:00")).await;
        assert_eq!(reach::run_once(&app).await.expect("no look").looked, 0);
        set(&app, local("09:00:00")).await;
        assert_eq!(reach::run_once(&app).await.expect("a look").notices, 3);
        set(&app, local("19:30:00")).await;
        assert_eq!(reach::run_once(&app).await.expect("a look").notices, 0, "nobody has agreed on the evening");
        assert_eq!(world.seniors.len(), 2);
    })
    .await;
}

/// The changes so far happened now.
async fn change_time(app: &chenlian::app::App) {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        chenlian::on!(&mut tx, |conn| sqlx::query("update audit set at = $1").bind(now).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the audit is dated");
}
