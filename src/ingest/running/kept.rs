//! What an external broker keeps for native devices: the signed settings of those in use, and nothing of those that were revoked.
//! The endpoint tells a device its settings when it subscribes; behind a broker they must lie there (sensors.md §5, §6). Every
//! instance does it: saying the same twice is saying it once.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::TimeDelta;
use rumqttc::{AsyncClient, ClientError, PublishOptions};

use crate::app::App;
use crate::ingest::doorkeeper;
use crate::mqtt::ports::Downlink;
use crate::store::Result;
use crate::store::device::{self, InUse};

/// A server that was away for so long still removes what devices revoked meanwhile have left at the broker.
const REVOKED_LOOK_BACK: TimeDelta = TimeDelta::days(30);
/// Devices whose keys are opened at once.
const CHUNK: usize = 500;

/// What the broker was told of each name on this connection.
#[derive(Default)]
pub struct Kept(BTreeMap<String, Told>);

#[derive(PartialEq, Eq, Clone, Copy)]
enum Told {
    /// The settings of this version of the device, and by which key it was known then.
    Settings(i64, Option<i64>),
    /// To forget it.
    Nothing,
}

impl Kept {
    /// After a new connection: what was on its way may be lost.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Tells the broker what has changed.
    pub async fn follow(&mut self, app: &App, publisher: &AsyncClient) {
        let now = app.clock.now();
        let asked = app.read(move |mut tx| async move {
            let found = (device::native_in_use(&mut tx).await?, device::native_revoked(&mut tx, now - REVOKED_LOOK_BACK).await?);
            Ok((tx, found))
        });
        let told = async {
            let (in_use, revoked) = asked.await?;
            let changed: Vec<InUse> =
                in_use.into_iter().filter(|device| self.0.get(&device.name) != Some(&Told::Settings(device.version, device.kid))).collect();
            for chunk in changed.chunks(CHUNK) {
                self.settings(app, chunk, publisher).await?;
            }
            self.removals(revoked, publisher).await;
            Ok::<(), crate::store::Error>(())
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, "what the broker keeps for devices cannot be looked up");
        }
    }

    async fn settings(&mut self, app: &App, devices: &[InUse], publisher: &AsyncClient) -> Result<()> {
        let (now, ids) = (app.clock.now(), devices.iter().map(|device| device.id).collect::<Vec<_>>());
        let keys = app.read(move |mut tx| async move { device::sealed_keys(&mut tx, &ids, now).await.map(|keys| (tx, keys)) }).await?;
        for device in devices {
            // The one that it signs with: while keys are rotated it may not know the newest yet.
            let valid = || keys.iter().filter(|key| key.device_id == device.id && key.is_valid);
            let used = valid().find(|key| Some(key.kid) == device.kid);
            let Some(sealed) = used.or_else(|| valid().max_by_key(|key| key.kid)) else { continue };
            let said = match device::unseal(&app.seal, sealed) {
                Ok(key) => publish(publisher, doorkeeper::settings(device, &key)).await,
                // Said once per connection; the others get theirs.
                Err(error) => {
                    tracing::error!(%error, "a device key cannot be opened");
                    Ok(())
                }
            };
            if said.is_ok() {
                self.0.insert(device.name.clone(), Told::Settings(device.version, device.kid));
            }
        }
        Ok(())
    }

    async fn removals(&mut self, revoked: Vec<String>, publisher: &AsyncClient) {
        for name in revoked {
            if self.0.get(&name) == Some(&Told::Nothing) {
                continue;
            }
            for topic in topics_of(&name) {
                if publish(publisher, Downlink { topic, payload: Bytes::new(), retain: true }).await.is_err() {
                    return;
                }
            }
            self.0.insert(name, Told::Nothing);
        }
    }
}

/// Every topic of a native device that is published to be kept.
fn topics_of(name: &str) -> [String; 4] {
    let own = |below: &str| format!("chk/1/{name}/{below}");
    [own("dn/cfg"), own("up/status"), own("up/state"), format!("homeassistant/device/{name}/config")]
}

/// Waits for room, unlike a receipt: nobody asks for it again.
async fn publish(publisher: &AsyncClient, said: Downlink) -> std::result::Result<(), ClientError> {
    let how = PublishOptions::at_most_once().retain(said.retain);
    publisher.publish(said.topic, said.payload, how).await
}
