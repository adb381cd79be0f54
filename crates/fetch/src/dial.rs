//! Where a connection is opened: to one socket address that the guard let through.
//!
//! A seam, so that tests see every attempt and can prove that none goes to a refused address. The
//! guard stands before it and cannot be replaced.
//!
//! Not here: names, proxies, and the choice of an address.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::BoxFuture;

/// A stream of octets.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open connection.
pub struct Dialled {
    /// The connection.
    pub stream: Box<dyn Io>,
    /// Who is at its other end; it must be who was dialled.
    pub peer: SocketAddr,
}

/// Opens connections.
pub trait Dial: Send + Sync {
    /// Connect to exactly this address.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>>;
}

/// TCP, directly.
pub(crate) struct Tcp;

impl Dial for Tcp {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let peer = stream.peer_addr()?;
            Ok(Dialled {
                stream: Box::new(stream),
                peer,
            })
        })
    }
}
