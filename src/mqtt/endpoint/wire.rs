//! Packets over a byte stream, with bounded buffers and bounded waiting on a peer that does not read.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rumqttc::{Codec, Packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_util::codec::{Decoder, Encoder};

use super::oversize::{Beginning, beginning};
use crate::ingest::zigbee2mqtt::list;

/// How long a peer may refuse to take our bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection keeps no more buffer than this.
const IDLE_BUFFER_BYTES: usize = 4096;
/// Our own packets are small; configuration is the largest.
const OUTGOING_BYTES_MAX: usize = 16 * 1024;
/// Read at once of a message that passes by unkept.
const PASSING_BYTES: usize = 16 * 1024;

pub struct Wire<S> {
    io: S,
    codec: Codec,
    /// A message up to this size may pass by, though only its beginning is kept.
    passing_bytes_max: usize,
    passing: Option<Passing>,
    incoming: BytesMut,
    outgoing: BytesMut,
    heard_at: Instant,
}

/// A large message of which the rest is still on its way.
struct Passing {
    beginning: Beginning,
    bytes_to_come: usize,
}

/// What came.
pub struct Arrival {
    pub packet: Packet,
    /// How much of its payload was too much to be kept.
    pub left_out: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(io: S, packet_bytes_max: usize) -> Self {
        let codec = Codec { max_incoming_size: packet_bytes_max, max_outgoing_size: OUTGOING_BYTES_MAX };
        Self {
            io,
            codec,
            passing_bytes_max: 0,
            passing: None,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            heard_at: Instant::now(),
        }
    }

    /// A stranger may send little, a known device more, and let still larger messages pass by.
    pub fn allow_packets_of(&mut self, packet_bytes_max: usize, passing_bytes_max: usize) {
        self.codec.max_incoming_size = packet_bytes_max;
        self.passing_bytes_max = passing_bytes_max;
    }

    /// When the last byte came: a large packet on a slow line is no silence.
    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// The next packet, `None` at the end of the stream. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Option<Arrival>, rumqttc::Error> {
        loop {
            if let Some(arrival) = self.arrived()? {
                if self.incoming.is_empty() && self.incoming.capacity() > IDLE_BUFFER_BYTES {
                    self.incoming = BytesMut::new();
                }
                return Ok(Some(arrival));
            }
            if self.io.read_buf(&mut self.incoming).await? == 0 {
                return Ok(None);
            }
            self.heard_at = Instant::now();
        }
    }

    /// The next packet of which everything has come.
    fn arrived(&mut self) -> Result<Option<Arrival>, rumqttc::Error> {
        if self.passing.is_none() {
            match self.codec.decode(&mut self.incoming) {
                Ok(packet) => return Ok(packet.map(|packet| Arrival { packet, left_out: 0 })),
                Err(rumqttc::Error::PayloadSizeLimitExceeded(bytes)) if bytes <= self.passing_bytes_max => {}
                Err(error) => return Err(error),
            }
            let Some(beginning) = beginning(&self.incoming)? else {
                self.incoming.reserve(PASSING_BYTES);
                return Ok(None);
            };
            // The one large message of which something counts.
            let is_list = std::str::from_utf8(&beginning.publish.topic).is_ok_and(list::is_list);
            if is_list && beginning.packet_bytes <= list::BYTES_MAX {
                if self.incoming.len() < beginning.packet_bytes {
                    self.incoming.reserve(PASSING_BYTES);
                    return Ok(None);
                }
                let packet = Packet::read(&mut self.incoming, list::BYTES_MAX)?;
                return Ok(Some(Arrival { packet, left_out: 0 }));
            }
            self.passing = Some(Passing { bytes_to_come: beginning.packet_bytes, beginning });
        }
        let Some(passing) = self.passing.as_mut() else { return Ok(None) };
        let here = passing.bytes_to_come.min(self.incoming.len());
        self.incoming.advance(here);
        passing.bytes_to_come -= here;
        if passing.bytes_to_come > 0 {
            // What has passed makes room for what comes: the buffer does not grow.
            self.incoming.reserve(PASSING_BYTES);
            return Ok(None);
        }
        let passed = self.passing.take().map(|passing| passing.beginning);
        Ok(passed.map(|beginning| Arrival { packet: Packet::Publish(beginning.publish), left_out: beginning.left_out }))
    }

    /// Queues a packet; [`Wire::flush`] sends it.
    pub fn put(&mut self, packet: Packet) -> Result<(), rumqttc::Error> {
        self.codec.encode(packet, &mut self.outgoing)
    }

    /// Queues bytes that the codec cannot write: an answer in another protocol version.
    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    pub async fn flush(&mut self) -> Result<(), rumqttc::Error> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE_TIMEOUT, self.io.write_all_buf(&mut self.outgoing)).await;
        if self.outgoing.capacity() > IDLE_BUFFER_BYTES {
            self.outgoing = BytesMut::new();
        }
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(())
    }

    /// Ends the stream politely, so that the last answer arrives before the reset.
    pub async fn close(mut self) {
        let _ = timeout(WRITE_TIMEOUT, self.io.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::{Publish, QoS};

    use super::*;

    #[tokio::test]
    async fn what_passes_by_needs_no_memory() {
        let (mut peer, io) = tokio::io::duplex(8192);
        let mut wire = Wire::new(io, 4096);
        wire.allow_packets_of(64 * 1024, 16 * 1024 * 1024);
        let sent = tokio::spawn(async move {
            let mut publish = Publish::new("t", QoS::AtMostOnce, vec![7; 8 * 1024 * 1024]);
            publish.pkid = 0;
            let mut bytes = BytesMut::new();
            publish.write(&mut bytes).unwrap();
            peer.write_all(&bytes).await.unwrap();
            peer
        });
        let mut largest = 0;
        let arrival = loop {
            if let Some(arrival) = wire.arrived().unwrap() {
                break arrival;
            }
            wire.io.read_buf(&mut wire.incoming).await.unwrap();
            largest = largest.max(wire.incoming.capacity());
        };
        assert!(largest < 128 * 1024, "{largest} bytes were held");
        let Packet::Publish(publish) = arrival.packet else { panic!("no message") };
        assert_eq!(publish.payload.len() + arrival.left_out, 8 * 1024 * 1024);
        sent.await.unwrap();
    }
}
