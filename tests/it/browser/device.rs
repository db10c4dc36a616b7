//! With a new sensor in the hand: it is found among those that spoke, entered, bound to a home and calibrated by two clicks.

use super::driver::{Browser, Screen};
use super::stage::Stage;
use crate::http::count;
use crate::sensors::client::Client;
use crate::sensors::{gateway, install, started, until};

const TOPIC: &str = "zigbee2mqtt/卧室/窗帘";

async fn choose(browser: &Browser, css: &str, value: &str) {
    let script = format!("var field = document.querySelector({css:?}); field.value = {value:?}; return field.value");
    assert_eq!(browser.script(&script).await.as_str(), Some(value), "{css} offers {value}");
}

/// Mounted the other way round: what it calls closed is an open curtain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_that_was_only_heard_is_entered_bound_and_calibrated_in_three_steps() {
    let stage = Stage::set(1).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.administrator, "phone").await else { return };
    let (app, running) = started(&stage.app).await;
    let home = install(&app, &stage.world, gateway(&stage.world, "gw-1"), None).await;
    let mut client = Client::of(&running, &home).await;
    client.tell(TOPIC, r#"{"contact":false,"battery":90}"#).await;

    phone.go("/admin/devices").await;
    phone.see("#strangers").await;
    phone.look("devices-strangers").await;
    phone.tap("[data-pick]").await;
    assert_eq!(phone.script("return document.querySelector('#device-new [name=name]').value").await, "卧室/窗帘");
    choose(&phone, "#device-new [name=role]", "curtain_contact").await;
    phone.tap("#device-new button.primary").await;
    phone.see("#device-bind").await;

    choose(&phone, "#device-bind select", &stage.world.seniors[0].to_string()).await;
    phone.tap("#device-bind button.primary").await;
    phone.see("#device-calibrate").await;
    phone.tap("[data-reading=while_closed]").await;
    phone.read("还没读到").await;
    client.tell(TOPIC, r#"{"contact":false,"battery":89}"#).await;
    phone.read("现在读到：开").await;
    phone.look("device-calibration").await;
    phone.tap("[data-reading=while_closed]").await;
    phone.tap("[data-reading=while_open]").await;
    phone.read("读数没变").await;
    client.tell(TOPIC, r#"{"contact":true,"battery":89}"#).await;
    phone.read("现在读到：关").await;
    phone.tap("[data-reading=while_open]").await;
    phone.read("校准好了").await;
    phone.look("device-calibrated").await;
    let inverted = "select count(*) from device where calibrated_at is not null and not polarity_normal";
    assert_eq!(count(&app, inverted).await, 1);

    // Whoever has picked the wrong line corrects it on the spot; a name of nothing is refused beside its field.
    phone.tap("#correction summary").await;
    phone.scroll_to("#device-correct").await;
    phone.look("device-correct").await;
    phone.write("#device-correct [name=settings]", "[").await;
    phone.tap("#device-correct button.primary").await;
    phone.see("#device-correct .problem").await;
    phone.look("device-correct-refused").await;
    assert_eq!(phone.complaints().await.len(), 1, "the browser notes the refusal");
    phone.write("#device-correct [name=settings]", "{}").await;
    phone.write("#device-correct [name=expected_interval_seconds]", "7200").await;
    phone.tap("#device-correct button.primary").await;
    phone.see_gone("#device-correct .problem").await;
    let corrected = "select count(*) from device where expected_interval_seconds = 7200 and calibrated_at is not null";
    until("the slip is corrected, and it is calibrated still", || async { count(&app, corrected).await == 1 }).await;

    phone.go("/admin/devices").await;
    phone.see_gone("#strangers").await;
    assert_eq!(phone.complaints().await, Vec::<String>::new());
    running.stop().await;
}
