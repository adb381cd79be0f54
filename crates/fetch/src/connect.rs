//! The connector: the only place that dials. Addresses are resolved once, judged all together, and
//! the very addresses that were judged are dialled; the socket is then asked whom it reached.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
};

use ipnet::IpNet;
use tokio::net::TcpStream;

use crate::{
    FetchError,
    address::{Verdict, judge},
    resolve::Resolve,
};

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Opens a TCP connection to an address that was judged. The seam that lets tests count packets
/// that are never sent.
pub trait Dial: Send + Sync {
    /// Connect.
    fn dial(
        &self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>>;
}

/// The real one.
#[derive(Debug)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial(
        &self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // What was judged is what was reached (F3).
            if stream.peer_addr()? != address {
                return Err(io::Error::other("another address answered"));
            }
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}

/// Resolve and judge: every answer must be public, or none is used (F2, F4).
pub(crate) async fn public_addresses(
    resolver: &dyn Resolve,
    denied: &[IpNet],
    host: &str,
) -> Result<Vec<IpAddr>, FetchError> {
    let mut found = resolver
        .resolve(host)
        .await
        .map_err(|_| FetchError::NameNotResolved)?;
    for address in &found {
        if let Verdict::Special(block) = judge(*address) {
            tracing::warn!(host, %address, block, "a stranger's name leads to a special address");
            return Err(FetchError::AddressRefused);
        }
        if denied.iter().any(|net| net.contains(address)) {
            tracing::warn!(host, %address, "a stranger's name leads to a denied address");
            return Err(FetchError::AddressRefused);
        }
    }
    if found.is_empty() {
        return Err(FetchError::NameNotResolved);
    }
    found.truncate(ADDRESSES_MAX);
    Ok(found)
}

/// The loopback addresses that a configured development origin means; nobody is asked.
pub(crate) fn loopback_addresses(host: &str) -> Result<Vec<IpAddr>, FetchError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Ok(vec![address]),
        Ok(_) => Err(FetchError::AddressRefused),
        Err(_) if host == "localhost" => {
            Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
        }
        Err(_) => Err(FetchError::AddressRefused),
    }
}

/// Try them in order; the caller's deadline covers all.
pub(crate) async fn dial_first(
    dialler: &dyn Dial,
    addresses: &[IpAddr],
    port: u16,
) -> Result<TcpStream, FetchError> {
    for address in addresses {
        match dialler.dial(SocketAddr::new(*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(failure) => tracing::debug!(%address, port, %failure, "could not connect"),
        }
    }
    Err(FetchError::ConnectFailed)
}
