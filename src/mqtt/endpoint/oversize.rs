//! A PUBLISH that is too large to be kept. Zigbee2MQTT sends its list of devices (230 KB) at every start, and a client that is cut
//! off for it sends it again, for ever: so its beginning is read, the rest passes by unkept, and it is answered like any other.

use bytes::{BufMut, BytesMut};
use rumqttc::{Error, Packet, Publish};

use crate::mqtt::ports::SAMPLE_BYTES_MAX;

/// Its type in the first byte of a packet. No other packet may be so large.
const PUBLISH: u8 = 3;

/// The first bytes of a large PUBLISH.
pub struct Beginning {
    /// With only a sample of its payload.
    pub publish: Publish,
    /// Length of the whole packet.
    pub packet_bytes: usize,
    /// How much of the payload is not in the sample.
    pub left_out: usize,
}

/// Reads the beginning; `None` until enough of it is there. The buffer need not hold more than the topic and the sample.
pub fn beginning(buffer: &[u8]) -> Result<Option<Beginning>, Error> {
    let Some((head, body_bytes)) = fixed_header(buffer) else { return Ok(None) };
    if buffer[0] >> 4 != PUBLISH {
        return Err(Error::PayloadSizeLimitExceeded(body_bytes));
    }
    let Some(topic_bytes) = buffer.get(head..head + 2) else { return Ok(None) };
    let topic_bytes = usize::from(u16::from_be_bytes([topic_bytes[0], topic_bytes[1]]));
    // Length and text of the topic, and a packet id, which is there or counts as sample.
    let kept = (2 + topic_bytes + 2 + SAMPLE_BYTES_MAX).min(body_bytes);
    let Some(body) = buffer.get(head..head + kept) else { return Ok(None) };
    // The same packet with a shorter payload, so that one decoder judges both.
    let mut shortened = BytesMut::with_capacity(kept + 5);
    shortened.put_u8(buffer[0]);
    put_length(&mut shortened, kept);
    shortened.put_slice(body);
    match Packet::read(&mut shortened, usize::MAX)? {
        Packet::Publish(publish) => Ok(Some(Beginning { publish, packet_bytes: head + body_bytes, left_out: body_bytes - kept })),
        _ => Err(Error::IncorrectPacketFormat),
    }
}

/// Length of the fixed header, and of what follows it.
fn fixed_header(buffer: &[u8]) -> Option<(usize, usize)> {
    let mut body_bytes = 0;
    for (place, byte) in buffer.iter().skip(1).take(4).enumerate() {
        body_bytes |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((place + 2, body_bytes));
        }
    }
    None
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        out.put_u8(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;

    use super::*;

    fn packet(topic_bytes: usize, payload_bytes: usize, qos: QoS) -> BytesMut {
        let mut publish = Publish::new("t".repeat(topic_bytes), qos, vec![7; payload_bytes]);
        publish.pkid = if qos == QoS::AtMostOnce { 0 } else { 5 };
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_beginning_of_a_large_message_says_all_but_its_payload() {
        for (topic_bytes, payload_bytes, qos) in
            [(1, 70_000, QoS::AtMostOnce), (1024, 3_000_000, QoS::AtLeastOnce), (65_535, 1, QoS::AtLeastOnce), (3, 0, QoS::AtLeastOnce)]
        {
            let bytes = packet(topic_bytes, payload_bytes, qos);
            let needed = (1..=bytes.len()).find(|end| beginning(&bytes[..*end]).unwrap().is_some()).unwrap();
            let read = beginning(&bytes[..needed]).unwrap().unwrap();
            assert!(needed <= 5 + 2 + topic_bytes + 2 + SAMPLE_BYTES_MAX, "{needed} bytes were needed");
            assert_eq!((read.publish.topic.len(), read.publish.qos), (topic_bytes, qos));
            assert_eq!(read.publish.payload.len() + read.left_out, payload_bytes);
            assert_eq!(read.packet_bytes, bytes.len());
        }
    }

    #[test]
    fn a_large_packet_that_is_no_message_or_a_broken_one_is_refused() {
        let mut subscribe = vec![0x82, 0xff, 0xff, 0x7f];
        subscribe.resize(4000, b'a');
        let mut without_id = packet(1, 70_000, QoS::AtLeastOnce).to_vec();
        without_id[7..9].fill(0);
        let mut topic_beyond_its_packet = vec![0x30, 0x04, 0xff, 0xff, b'a', b'a'];
        topic_beyond_its_packet.resize(70, b'a');
        for bytes in [subscribe, without_id, topic_beyond_its_packet] {
            assert!(beginning(&bytes).is_err(), "{:02x?}", &bytes[..8]);
        }
    }
}
