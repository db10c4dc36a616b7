//! Where webhooks may go: public hosts over TLS. The address is checked when it is saved and again when it is resolved for
//! sending, so that a name that later points into the private network (DNS rebinding) gets nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::refusal::Refusal;

/// Bytes of a target address.
const TARGET_BYTES_MAX: usize = 2_048;
/// A person who saves an address waits this long for its name.
const LOOKUP_SECONDS_MAX: u64 = 5;

/// Checks an address as it is saved, and as it is used. Private addresses and plain HTTP need `outbox.allow_private_targets`.
///
/// # Errors
/// A refusal for the field `address`.
pub fn check_target(address: &str, allow_private: bool) -> Result<Url, Refusal> {
    let invalid = || Refusal::invalid("address", "channel.target_invalid");
    if address.len() > TARGET_BYTES_MAX {
        return Err(invalid());
    }
    let url = Url::parse(address).map_err(|_| invalid())?;
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && allow_private);
    if !scheme_fits || !url.username().is_empty() || url.password().is_some() {
        return Err(invalid());
    }
    let host = url.host_str().ok_or_else(invalid)?;
    // A host that is an address is never resolved, so it is judged here.
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let name = host.trim_end_matches('.');
    let local_name = name == "localhost" || name.ends_with(".localhost");
    if !allow_private && (local_name || literal.is_some_and(|ip| !is_public(ip))) {
        return Err(Refusal::invalid("address", "channel.target_private"));
    }
    Ok(url)
}

/// Checks an address as it is saved: its name is resolved by the same rule as for sending. Where private addresses are
/// allowed nothing is asked of the name.
///
/// # Errors
/// A refusal for the field `address`; also of a name that leads nowhere, because it is more often misspelt than away.
pub async fn check_saved(address: &str, allow_private: bool) -> Result<(), Refusal> {
    let url = check_target(address, allow_private)?;
    let Some(host) = url.domain().filter(|_| !allow_private) else { return Ok(()) };
    let looked_up = tokio::time::timeout(Duration::from_secs(LOOKUP_SECONDS_MAX), lookup(host, allow_private)).await;
    match looked_up {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is::<PrivateTarget>() => Err(Refusal::invalid("address", "channel.target_private")),
        Ok(Err(_)) | Err(_) => Err(Refusal::invalid("address", "channel.target_unknown")),
    }
}

/// The permitted addresses of a name.
async fn lookup(name: &str, allow_private: bool) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
    Ok(permitted(&found, allow_private)?)
}

/// Host and port of an address: what its messages share.
pub fn host(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// Whether an address lies on the public internet.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// The special-purpose registries of RFC 6890 and its updates.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// Only 2000::/3 is public, without the blocks in it that lead elsewhere (documentation, Teredo, 6to4).
fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, ..] = ip.segments();
    let leads_elsewhere = first == 0x2002 || (first == 0x2001 && (second < 0x0200 || second == 0x0db8)) || first == 0x3fff;
    first & 0xe000 == 0x2000 && !leads_elsewhere
}

/// The name led into a private network.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub struct PrivateTarget;

/// Resolves names for sending and leaves out what is not public.
#[derive(Debug, Clone)]
pub struct Resolver {
    pub allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let allowed = lookup(name.as_str(), allow_private).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn permitted(found: &[SocketAddr], allow_private: bool) -> Result<Vec<SocketAddr>, PrivateTarget> {
    let allowed: Vec<SocketAddr> = found.iter().copied().filter(|address| allow_private || is_public(address.ip())).collect();
    // A name that has both kinds of address is a trick: nothing of it is used.
    if allowed.is_empty() || allowed.len() < found.len() { Err(PrivateTarget) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_public_host_over_tls_unless_the_setting_allows_more() {
        let check = |address: &str| check_target(address, false).err().map(|refusal| refusal.key);
        let private = Some("channel.target_private");
        let invalid = Some("channel.target_invalid");
        for (address, expected) in [
            ("https://hooks.example.org/a?b=c", None),
            ("https://93.184.216.34:8443/", None),
            ("https://[2606:2800:220:1::1]/", None),
            ("http://hooks.example.org/", invalid),
            ("ftp://hooks.example.org/", invalid),
            ("https://user:word@hooks.example.org/", invalid),
            ("hooks.example.org", invalid),
            ("https://127.0.0.1/", private),
            ("https://0x7f000001/", private),
            ("https://2130706433/", private),
            ("https://localhost/", private),
            ("https://localhost./", private),
            ("https://10.1.2.3/", private),
            ("https://169.254.169.254/latest/meta-data", private),
            ("https://100.64.0.1/", private),
            ("https://[::1]/", private),
            ("https://[::ffff:10.0.0.1]/", private),
            ("https://[fd00::1]/", private),
            ("https://[fe80::1]/", private),
            ("https://[64:ff9b::a00:1]/", private),
        ] {
            assert_eq!(check(address), expected, "{address}");
        }
        assert!(check_target("http://127.0.0.1:9000/", true).is_ok());
        assert!(check_target(&format!("https://a.example/{}", "x".repeat(TARGET_BYTES_MAX)), true).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_into_the_private_network_or_nowhere_is_not_saved() {
        let saved = async |address: &str| check_saved(address, false).await.err().map(|refusal| refusal.key);
        // The machine's own name leads to the machine, or nowhere.
        let own = std::fs::read_to_string("/etc/hostname").unwrap_or_else(|_| "localhost".to_owned());
        assert!(saved(&format!("https://{}/", own.trim())).await.is_some());
        assert_eq!(saved("https://no-such-host.invalid/").await, Some("channel.target_unknown"));
        assert!(check_saved("https://no-such-host.invalid/", true).await.is_ok());
    }

    #[test]
    fn a_name_that_points_into_the_private_network_when_it_is_used_gets_nothing() {
        let public: SocketAddr = "93.184.216.34:0".parse().unwrap();
        let private: SocketAddr = "192.168.1.1:0".parse().unwrap();
        assert_eq!(permitted(&[public], false).unwrap(), [public]);
        assert!(permitted(&[private], false).is_err());
        assert!(permitted(&[public, private], false).is_err());
        assert!(permitted(&[], true).is_err());
        assert_eq!(permitted(&[private], true).unwrap(), [private]);
    }
}
