//! A device's messages on their way out, and the faults that meet them there.

use rumqttc::{Publish, QoS};

use super::Device;
use super::board::Message;
use super::radio::Radio;
use crate::envelope::Channel;
use crate::sim::faults::Fate;
use crate::sim::trace::{Moment, said};

impl Device {
    /// Counts a message, decides what happens to it, and lets it happen.
    pub(super) async fn publish(&mut self, message: Message) {
        if !matches!(self.radio, Radio::On(_)) {
            return;
        }
        let events = message.channel == Channel::Events;
        self.report.sent += u64::from(events);
        self.report.resent += u64::from(events && message.resent);
        self.report.telemetry += u64::from(message.channel == Channel::Telemetry);
        let fate = if message.seq.is_some() { self.config.faults.fate(&mut self.board.chance) } else { Fate::Sent };
        if self.config.trace.is_some() {
            let (topic, says) = (message.channel.suffix(), said(&message.publish.payload));
            self.say(Moment::Published { topic, seq: message.seq, says, resent: message.resent, fate });
        }
        match fate {
            Fate::Lost => {
                self.report.lost_on_purpose += 1;
                return;
            }
            Fate::Late if self.held.is_none() => {
                self.report.reordered += 1;
                self.held = Some(message.publish);
                return;
            }
            Fate::Doubled => self.report.duplicated += 1,
            Fate::Late | Fate::Sent => {}
        }
        self.write(message.publish.clone(), fate == Fate::Doubled, events).await;
        if message.seq.is_some() {
            self.after_signed(message.publish, events).await;
        }
    }

    /// The faults that follow a signed message onto the wire.
    async fn after_signed(&mut self, publish: Publish, events: bool) {
        if let Some(held) = self.held.take() {
            self.write(held, false, false).await;
        }
        if self.board.chance.happens(self.config.faults.replay)
            && let Some(recording) = self.recording.clone()
        {
            self.report.replayed += 1;
            self.say(Moment::Replayed);
            self.write(recording, false, false).await;
        }
        // Whoever records wants what may open something.
        if events {
            self.recording = Some(publish);
        }
        if self.board.chance.happens(self.config.faults.cut) {
            self.report.cut += 1;
            self.say(Moment::LinkLost("cut on purpose".to_owned()));
            self.link_broke = true;
        }
    }

    async fn write(&mut self, mut publish: Publish, twice: bool, counted: bool) {
        let Radio::On(connection) = &mut self.radio else { return };
        connection.link.number(&mut publish);
        if counted {
            self.unacknowledged.insert(publish.pkid);
        }
        let mut written = connection.link.publish(publish.clone()).await;
        if twice && written.is_ok() {
            publish.dup = publish.qos != QoS::AtMostOnce;
            written = connection.link.publish(publish).await;
        }
        if let Err(error) = written {
            self.say(Moment::LinkLost(error.to_string()));
            self.link_broke = true;
        }
    }
}
