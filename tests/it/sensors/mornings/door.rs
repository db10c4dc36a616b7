//! The two ways in. Whatever was brought is in the database before the clock goes on.

use chenlian::config::MqttMode;
use chenlian::mqtt::external::acl::{self, Account};
use firmware_sim::sim::chance::Chance;

use super::super::client::Client;
use super::super::several::SERVER;
use super::*;
use crate::harness::broker::Broker;

/// After a resumed session whatever comes within five quiet seconds may have waited, and is believed less.
const BACKLOG: Duration = Duration::from_millis(5_500);

pub struct Door {
    /// `None` only while it is being renewed.
    running: Option<Running>,
    clients: Vec<Client>,
    broker: Option<Broker>,
    /// Tells when everything before it has arrived.
    sentinel: u8,
    chance: Chance,
}

impl Door {
    pub async fn endpoint(app: &App, homes: &Homes) -> Self {
        let running = running::start(app).await.expect("the ingest starts");
        let mut door = Self { running: Some(running), clients: Vec::new(), broker: None, sentinel: 0, chance: Chance::new(1) };
        door.connect(homes).await;
        door
    }

    /// `None` where mosquitto is not installed.
    pub async fn broker(app: &App, homes: &Homes) -> Option<Self> {
        let accounts = app.read(|mut tx| async move { devices::accounts(&mut tx).await.map(|accounts| (tx, accounts)) }).await;
        let rules = acl::file(SERVER, accounts.expect("the register is read").into_iter().map(Account::of));
        let mut names = vec![SERVER];
        names.extend(homes.accounts().map(|(name, _)| name));
        let broker = Broker::start_with_rules(&names, &rules)?;
        let running = beside(app, &broker).await;
        let mut door = Self { running: Some(running), clients: Vec::new(), broker: Some(broker), sentinel: 0, chance: Chance::new(1) };
        door.connect(homes).await;
        Some(door)
    }

    async fn connect(&mut self, homes: &Homes) {
        self.clients.clear();
        for (name, password) in homes.accounts() {
            let client = match &self.broker {
                Some(broker) => Client::at(broker.port(), name, name).await,
                None => Client::connect(self.running.as_ref().expect("it runs"), name, password).await,
            };
            self.clients.push(client);
        }
    }

    /// Hands everything in, now and then twice, and waits until the server has committed it.
    pub async fn bring(&mut self, app: &App, said: Vec<Said>) {
        let mut expected = vec![0; self.clients.len()];
        for message in said {
            let is_kept = match (message.keep, self.broker.is_some()) {
                // Only a subscription shows what was kept, and only a broker keeps.
                (Keep::Ghost, true) => continue,
                (keep, true) => keep == Keep::Always,
                (keep, false) => keep == Keep::Ghost,
            };
            let times = if self.chance.happens(0.03) { 2 } else { 1 };
            for _ in 0..times {
                self.clients[message.account].hand_in(&message.topic, message.payload.clone(), is_kept).await;
                expected[message.account] += 1;
            }
        }
        for (client, count) in self.clients.iter_mut().zip(expected) {
            client.are_acknowledged(count).await;
        }
        if self.broker.is_some() {
            self.sentinel = self.sentinel % 90 + 1;
            let percent = i64::from(self.sentinel);
            self.clients[0].tell(homes::SENTINEL_TOPIC, format!(r#"{{"battery":{percent}}}"#)).await;
            until("everything has come through the broker", async || {
                let found: Vec<i64> = ask!(
                    app,
                    query_scalar,
                    "select battery_percent from device where name = $1 and battery_percent is not null",
                    homes::SENTINEL
                );
                found == [percent]
            })
            .await;
        }
    }

    pub async fn restart_the_server(&mut self, app: &App, homes: &Homes) {
        self.running.take().expect("it runs").stop().await;
        self.running = Some(match &self.broker {
            Some(broker) => beside(app, broker).await,
            None => running::start(app).await.expect("the ingest starts"),
        });
        self.connect(homes).await;
        self.quiet(app).await;
    }

    /// kill -9; what it had acknowledged is still there.
    pub async fn kill_the_broker(&mut self, app: &App, homes: &Homes) {
        let Some(broker) = &mut self.broker else { return };
        broker.kill_and_restart();
        self.connect(homes).await;
        self.quiet(app).await;
    }

    async fn quiet(&mut self, app: &App) {
        self.bring(app, Vec::new()).await;
        if self.broker.is_some() {
            tokio::time::sleep(BACKLOG).await;
        }
    }

    pub async fn close(self) {
        if let Some(running) = self.running {
            running.stop().await;
        }
    }
}

/// A server that hears this broker, in a session that outlives it.
async fn beside(app: &App, broker: &Broker) -> Running {
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let app = with_settings(app, |config| {
        config.mqtt.mode = MqttMode::External;
        "mornings".clone_into(&mut config.mqtt.client_id);
        config.mqtt.url = url;
        SERVER.clone_into(&mut config.mqtt.user);
        SERVER.clone_into(&mut config.mqtt.password);
    });
    let running = running::start(&app).await.expect("the ingest starts");
    let mut status = running.broker().expect("a link");
    tokio::time::timeout(SOON, status.wait_for(|status| status.subscribed)).await.expect("in time").expect("it lives");
    running
}
