//! For those who keep paper: the round printed, walked with a pencil, and typed in.

use serde_json::json;

use super::driver::{Browser, Screen};
use super::stage::Stage;
use crate::http::count;

const SIGNALS: &str = "select count(*) from signal";

/// Types a time into a field of the form, as a wheel of the phone does.
async fn looked_at(phone: &Browser, time: &str) {
    let script = "const field = document.querySelector('[name=looked_at]'); field.value = arguments[0];
        field.dispatchEvent(new Event('change', { bubbles: true })); return true;";
    phone.wait("the time is chosen", script, vec![json!(time)]).await;
}

async fn mark(phone: &Browser, number: usize, mark: &str) {
    phone.tap(&format!(".entrance fieldset:nth-of-type({number}) label:has([data-count={mark}])")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_is_printed_on_a4_with_head_and_code_on_each_page() {
    for (seniors, pages) in [(3, 1), (24, 3)] {
        let stage = Stage::set(seniors).await;
        let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
        phone.go("/round").await;
        phone.tap("a[href^='/round/sheet']").await;
        phone.see("[data-prints]").await;
        let lines = phone.script("return document.querySelectorAll('.sheet-line').length").await;
        assert_eq!(lines, json!(seniors));
        let heights = phone.printed(&format!("sheet-{seniors}")).await;
        assert_eq!(heights, vec![(595, 842); pages], "A4 in points");
        phone.show_as_printed().await;
        phone.see_gone("button, .ways a, .no-print").await;
        phone.picture(&format!("sheet-{seniors}-print")).await;
        assert_eq!(phone.complaints().await, Vec::<String>::new());
        // Of a place it says whom to phone, and only for those who may know.
        let lead = stage.browser(Screen::Desk, stage.world.social_worker, "lead").await.expect("a second browser");
        lead.go(&format!("/round/sheet?place={}", stage.world.building)).await;
        lead.read("替补").await;
        lead.printed(&format!("sheet-place-{seniors}")).await;
        phone.go(&format!("/round/sheet?place={}", stage.world.building)).await;
        assert!(!phone.words().await.contains("替补"), "{}", phone.words().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_is_typed_in_with_its_exceptions_and_a_slip_of_the_pen_costs_nothing_that_was_marked() {
    let stage = Stage::set(4).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.go("/round").await;
    phone.tap("a[href^='/round/enter']").await;
    phone.read("看到了4户").await;
    mark(&phone, 2, "shut").await;
    mark(&phone, 3, "skipped").await;
    mark(&phone, 4, "blind").await;
    phone.read("看到了1户 · 没拉开1户 · 看不清1户 · 没看1户").await;
    looked_at(&phone, "23:50").await;
    phone.tap("#enter button.primary").await;
    phone.read("这个时间还没到").await;
    phone.look("enter-refused").await;
    assert_eq!(count(&stage.app, SIGNALS).await, 0);
    phone.go("/round/enter?slot=morning").await;
    phone.read("看到了1户 · 没拉开1户 · 看不清1户 · 没看1户").await;
    looked_at(&phone, "06:50").await;
    phone.tap("#enter button.primary").await;
    phone.read("记好了，一共3户").await;
    phone.look("entered").await;
    assert_eq!(count(&stage.app, "select count(*) from signal where source = 'sheet'").await, 3);
    phone.tap("#entered a").await;
    phone.wait("the round says the same", "return document.getElementById('done').textContent === '1'", Vec::new()).await;
    phone.read("您记的：没拉开 06:50").await;
    phone.read("您记的：看不清 06:50").await;
    phone.look("round-after-sheet").await;
    assert_eq!(phone.complaints().await.iter().filter(|said| !said.contains("400")).count(), 0);
}
