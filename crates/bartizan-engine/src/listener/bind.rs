//! From a [`ListenerConfig`] to a listening socket, and from it to accepted [`Transport`]s.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};

use super::config::{Bind, ListenerConfig, PeerAddr};
use super::socket::Socket;
use super::transport::{Stacking, Transport};
use super::unix_path::UnixPath;
use crate::tls::TlsSlot;

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener} on {address}: {problem}")]
pub struct ListenerError {
    /// The listener's name.
    pub listener: String,
    /// Where it should have listened.
    pub address: String,
    /// What is in the way.
    pub problem: BindProblem,
}

/// What is in the way of a listener.
#[derive(Debug, thiserror::Error)]
pub enum BindProblem {
    /// Somebody listens there.
    #[error("already in use; stop the other process or choose another address")]
    InUse,
    /// A privileged port or a protected directory.
    #[error("permission denied; choose a port above 1023, or grant CAP_NET_BIND_SERVICE or the directory")]
    Permission,
    /// No interface has this address.
    #[error("this machine has no such address; choose one of its own, 0.0.0.0 or [::]")]
    NoSuchAddress,
    /// The path exists and is no socket.
    #[error("the path exists and is not a socket; remove it or choose another path")]
    NotASocket,
    /// Settings that contradict each other.
    #[error("{0}")]
    Settings(&'static str),
    /// Anything else the system says.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for BindProblem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse,
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress,
            _ => Self::Io(error),
        }
    }
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, Arc<UnixPath>),
}

/// A socket that listens. One per shard: see [`Self::try_clone`].
#[derive(Debug)]
pub struct BoundListener {
    listening: Listening,
    stacking: Arc<Stacking>,
}

/// Binds and listens. `tls` belongs to `config.tls`: both or neither. On an error nothing is left
/// behind, neither a socket nor a file.
pub fn bind(config: &ListenerConfig, tls: Option<TlsSlot>) -> Result<BoundListener, ListenerError> {
    let listening = check(config, tls.as_ref()).and_then(|()| listen(config));
    let listening = listening.map_err(|problem| ListenerError {
        listener: config.name.clone(),
        address: config.bind.to_string(),
        problem,
    })?;
    let stacking = Stacking { config: Arc::new(config.clone()), tls };
    Ok(BoundListener { listening, stacking: Arc::new(stacking) })
}

fn check(config: &ListenerConfig, tls: Option<&TlsSlot>) -> Result<(), BindProblem> {
    let settings = |text| Err(BindProblem::Settings(text));
    if config.tls.is_some() != tls.is_some() {
        return settings("certificates and TLS settings belong together: give both or neither");
    }
    if matches!(config.bind, Bind::Unix { .. }) && !config.proxy_protocol_from.is_empty() {
        return settings("peers of a Unix socket have no address; remove proxy_protocol_from");
    }
    if config.websocket.as_ref().is_some_and(|websocket| !websocket.path.starts_with('/')) {
        return settings("the WebSocket path must start with /");
    }
    Ok(())
}

fn listen(config: &ListenerConfig) -> Result<Listening, BindProblem> {
    match &config.bind {
        Bind::Tcp(address) => {
            if config.reuse_port && address.port() != 0 {
                // With SO_REUSEPORT a second broker of the same user would share the port unnoticed,
                // so it is first bound without.
                drop(tcp_socket(config, *address, false)?);
            }
            Ok(Listening::Tcp(listen_tcp(config, *address)?))
        }
        Bind::Unix { path, mode } => {
            let (listener, path) = listen_unix(config, path, *mode)?;
            Ok(Listening::Unix(listener, Arc::new(path)))
        }
    }
}

fn tcp_socket(config: &ListenerConfig, address: SocketAddr, shared: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a broker that just stopped do not keep the next one from starting.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if let IpAddr::V6(ip) = address.ip() {
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    // Accepted sockets inherit these (Linux), which saves the calls per connection.
    socket.set_tcp_nodelay(true)?;
    let idle = Duration::from_secs(config.tcp_keepalive_s.max(1));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn listen_tcp(config: &ListenerConfig, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = tcp_socket(config, address, config.reuse_port)?;
    socket.listen(backlog(config))?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn listen_unix(config: &ListenerConfig, path: &Path, mode: u32) -> Result<(UnixListener, UnixPath), BindProblem> {
    UnixPath::clear_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let owned = UnixPath::owned(path)?;
    // Before listen: nobody connects while the mode is still the umask's.
    owned.set_mode(mode)?;
    socket.listen(backlog(config))?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket))), owned))
}

fn backlog(config: &ListenerConfig) -> i32 {
    i32::try_from(config.backlog).unwrap_or(i32::MAX)
}

impl BoundListener {
    /// Accepts one connection; `None` when none waits. What its address may do (limits, PROXY
    /// headers, a connection that is refused) shows in [`Transport::advance`].
    pub fn accept(&self) -> io::Result<Option<(Transport, PeerAddr)>> {
        loop {
            let accepted = match &self.listening {
                Listening::Tcp(listener) => {
                    listener.accept().map(|(stream, peer)| (Socket::Tcp(stream), PeerAddr::from_socket(peer)))
                }
                Listening::Unix(listener, _) => {
                    listener.accept().map(|(stream, _)| (Socket::Unix(stream), PeerAddr::Unix))
                }
            };
            match accepted {
                Ok((socket, peer)) => {
                    let transport = Transport::accepted(Arc::clone(&self.stacking), socket, peer);
                    return Ok(Some((transport, peer)));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // The peer left between its SYN and our accept.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Another one for another shard: its own socket on the same port with `reuse_port`, otherwise
    /// the same socket under another descriptor.
    pub fn try_clone(&self) -> io::Result<Self> {
        let listening = match &self.listening {
            Listening::Tcp(listener) if self.stacking.config.reuse_port => {
                Listening::Tcp(listen_tcp(&self.stacking.config, listener.local_addr()?)?)
            }
            Listening::Tcp(listener) => {
                Listening::Tcp(TcpListener::from_std(SockRef::from(listener).try_clone()?.into()))
            }
            Listening::Unix(listener, path) => {
                let descriptor = std::os::fd::OwnedFd::from(SockRef::from(listener).try_clone()?);
                Listening::Unix(UnixListener::from_std(descriptor.into()), Arc::clone(path))
            }
        };
        Ok(Self { listening, stacking: Arc::clone(&self.stacking) })
    }

    /// Where it listens, with the port the system chose; `None` for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.listening {
            Listening::Tcp(listener) => listener.local_addr().ok(),
            Listening::Unix(..) => None,
        }
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Arc<ListenerConfig> {
        &self.stacking.config
    }

    /// Where its certificates are replaced, when it speaks TLS.
    #[must_use]
    pub fn tls_slot(&self) -> Option<&TlsSlot> {
        self.stacking.tls.as_ref()
    }
}

impl Source for BoundListener {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match &mut self.listening {
            Listening::Tcp(listener) => listener.register(registry, token, interests),
            Listening::Unix(listener, _) => listener.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match &mut self.listening {
            Listening::Tcp(listener) => listener.reregister(registry, token, interests),
            Listening::Unix(listener, _) => listener.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.listening {
            Listening::Tcp(listener) => listener.deregister(registry),
            Listening::Unix(listener, _) => listener.deregister(registry),
        }
    }
}
