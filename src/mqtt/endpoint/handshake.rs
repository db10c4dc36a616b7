//! The first packet of a connection: who it is, or a clean refusal. Until this is done a stranger gets little memory and little time.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{ConnAck, Connect, ConnectAuth, ConnectReturnCode, LastWill, Packet, QoS};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::access::may_publish;
use super::sessions::{Entered, SessionKey, Sessions};
use super::wire::{Arrival, Wire};
use crate::mqtt::ports::{AuthRequest, Identity, Ports, Refused};

/// A CONNECT with names, password and a will; larger ones are not ours.
pub const CONNECT_BYTES_MAX: usize = 4096;
/// Longest client id and principal.
const NAME_BYTES_MAX: usize = 256;
/// `CONNACK` of MQTT 5 with reason 0x84, unsupported protocol version: the answer that a newer client understands.
const REFUSE_VERSION_5: [u8; 5] = [0x20, 0x03, 0x00, 0x84, 0x00];

/// A connection that may go on.
pub struct Admitted {
    pub identity: Arc<Identity>,
    pub key: SessionKey,
    pub entered: Entered,
    pub will: Option<LastWill>,
    /// Silence longer than this ends the connection.
    pub silence_max: Duration,
}

/// Reads CONNECT and finds out who it is. `None`: refused or gone. Nothing is opened yet, so this may be cancelled.
pub async fn identify<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    ports: &Ports,
    peer_is_loopback: bool,
) -> Option<(Connect, Identity)> {
    let connect = match wire.next().await {
        Ok(Some(Arrival { packet: Packet::Connect(connect), .. })) => connect,
        Err(rumqttc::Error::InvalidProtocolLevel(level)) if level >= 5 => {
            wire.put_raw(&REFUSE_VERSION_5);
            let _ = wire.flush().await;
            return None;
        }
        Err(rumqttc::Error::InvalidProtocolLevel(_) | rumqttc::Error::InvalidProtocol) => {
            refuse(wire, ConnectReturnCode::RefusedProtocolVersion).await;
            return None;
        }
        _ => return None,
    };
    match judge(&connect, ports, peer_is_loopback).await {
        Ok(identity) => Some((connect, identity)),
        Err(code) => {
            refuse(wire, code).await;
            None
        }
    }
}

/// Opens the session and says so. Must run to its end, since it throws out whoever held the session.
pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    connect: Connect,
    identity: Identity,
    sessions: &Sessions,
    silence_without_keep_alive: Duration,
) -> Admitted {
    let client_id = if connect.client_id.is_empty() { Uuid::new_v4().to_string() } else { connect.client_id };
    let identity = Arc::new(identity);
    let key = SessionKey { principal: identity.principal.clone(), client_id };
    let entered = sessions.enter(&key, &identity, connect.clean_session);
    // A lost answer shows at the first read.
    let _ = wire.put(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, entered.present)));
    let _ = wire.flush().await;
    let silence_max = match connect.keep_alive {
        0 => silence_without_keep_alive,
        // MQTT-3.1.2-24: one and a half times the keep-alive.
        seconds => Duration::from_secs(u64::from(seconds)) * 3 / 2,
    };
    Admitted { identity, key, entered, will: connect.last_will, silence_max }
}

async fn judge(connect: &Connect, ports: &Ports, peer_is_loopback: bool) -> Result<Identity, ConnectReturnCode> {
    let nameless = connect.client_id.is_empty() && !connect.clean_session;
    if nameless || connect.client_id.len() > NAME_BYTES_MAX {
        return Err(ConnectReturnCode::BadClientId);
    }
    let (username, password) = match &connect.auth {
        ConnectAuth::None => (None, None),
        ConnectAuth::Username { username } => (Some(username.clone()), None),
        ConnectAuth::UsernamePassword { username, password } => (Some(username.clone()), Some(password.clone())),
    };
    let (reply, answer) = oneshot::channel();
    let request = AuthRequest { client_id: connect.client_id.clone(), username, password, peer_is_loopback, reply };
    let asked = ports.authenticate.send(request).await;
    let answer = match asked {
        Ok(()) => answer.await.unwrap_or(Err(Refused::Unavailable)),
        Err(_) => Err(Refused::Unavailable),
    };
    let identity = answer.map_err(|refused| match refused {
        Refused::BadCredentials => ConnectReturnCode::BadUserNamePassword,
        Refused::NotAuthorized => ConnectReturnCode::NotAuthorized,
        Refused::Unavailable => ConnectReturnCode::ServiceUnavailable,
    })?;
    // A will speaks later on this credential's behalf, so it is judged now.
    if let Some(will) = &connect.last_will
        && (!may_publish(&identity, &will.topic) || will.qos == QoS::ExactlyOnce)
    {
        return Err(ConnectReturnCode::NotAuthorized);
    }
    Ok(identity)
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, code: ConnectReturnCode) {
    metrics::counter!("chenlian_mqtt_refused_total").increment(1);
    let _ = wire.put(Packet::ConnAck(ConnAck::new(code, false)));
    let _ = wire.flush().await;
}
