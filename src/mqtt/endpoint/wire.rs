//! Packets over a byte stream, with bounded buffers and bounded waiting on a peer that does not read.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::{Codec, Packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::codec::{Decoder, Encoder};

/// How long a peer may refuse to take our bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection keeps no more buffer than this.
const IDLE_BUFFER_BYTES: usize = 4096;
/// Our own packets are small; configuration is the largest.
const OUTGOING_BYTES_MAX: usize = 16 * 1024;

pub struct Wire<S> {
    io: S,
    codec: Codec,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(io: S, packet_bytes_max: usize) -> Self {
        let codec = Codec { max_incoming_size: packet_bytes_max, max_outgoing_size: OUTGOING_BYTES_MAX };
        Self { io, codec, incoming: BytesMut::new(), outgoing: BytesMut::new() }
    }

    /// A stranger may send little, a known device more.
    pub fn allow_packets_of(&mut self, packet_bytes_max: usize) {
        self.codec.max_incoming_size = packet_bytes_max;
    }

    /// The next packet, `None` at the end of the stream. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Option<Packet>, rumqttc::Error> {
        loop {
            if let Some(packet) = self.codec.decode(&mut self.incoming)? {
                if self.incoming.is_empty() && self.incoming.capacity() > IDLE_BUFFER_BYTES {
                    self.incoming = BytesMut::new();
                }
                return Ok(Some(packet));
            }
            if self.io.read_buf(&mut self.incoming).await? == 0 {
                return Ok(None);
            }
        }
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
