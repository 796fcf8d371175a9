//! One accepted connection with all its layers: first `advance` until it is open, then bytes.

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::config::{ListenerConfig, PeerAddr};
use super::proxy_protocol::{ProxyHeader, ProxyReader};
use super::socket::{ByteStream, Socket};
use super::tls_stream::TlsStream;
use super::websocket::{Upgrade, WebSocketStream};
use crate::tls::{PeerIdentity, TlsSlot};

/// What all connections of one listener share.
#[derive(Debug)]
pub(super) struct Stacking {
    pub config: Arc<ListenerConfig>,
    pub tls: Option<TlsSlot>,
}

/// How far the layers below MQTT are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The socket has nothing more now; call again when it is ready.
    Pending,
    /// The PROXY header is read and `peer_addr` is the client's: the place to apply limits per
    /// address, before TLS costs anything. Call again to go on.
    Addressed,
    /// Bytes can be read and written. Read at once: the peer's first ones may be here already.
    Done,
}

/// TLS or none.
#[derive(Debug)]
enum Bytes {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

#[derive(Debug)]
enum Stage {
    /// From an address that is not a listed proxy's.
    Unlisted(Socket),
    Proxy(Socket, Box<ProxyReader>),
    Accepted(Socket),
    Handshaking(Box<TlsStream<Socket>>),
    Upgrading(Bytes, Box<Upgrade>),
    Open(Bytes),
    WebSocket(Box<WebSocketStream<Bytes>>),
    /// Only while one stage turns into the next.
    Turning,
}

/// One connection. It is `Send`: it moves once, to the shard that owns its Session.
#[derive(Debug)]
pub struct Transport {
    stacking: Arc<Stacking>,
    peer: PeerAddr,
    stage: Stage,
}

impl Transport {
    pub(super) fn accepted(stacking: Arc<Stacking>, socket: Socket, peer: PeerAddr) -> Self {
        let stage = if stacking.config.proxy_protocol_from.is_empty() {
            if stacking.tls.is_none() && stacking.config.websocket.is_none() {
                Stage::Open(Bytes::Plain(socket))
            } else {
                Stage::Accepted(socket)
            }
        } else if peer.ip().is_some_and(|ip| stacking.config.is_listed_proxy(ip)) {
            Stage::Proxy(socket, Box::default())
        } else {
            Stage::Unlisted(socket)
        };
        Self { stacking, peer, stage }
    }

    /// Drives PROXY header, TLS handshake and WebSocket upgrade as far as the socket allows. An
    /// error ends the connection; its text says what the peer did. The caller owns the deadline.
    pub fn advance(&mut self) -> io::Result<Handshake> {
        loop {
            match &mut self.stage {
                Stage::Unlisted(_) => return Err(unlisted()),
                Stage::Proxy(socket, reader) => {
                    let Some(header) = reader.advance(socket)? else {
                        return Ok(Handshake::Pending);
                    };
                    if let ProxyHeader::Client(address) = header {
                        self.peer = PeerAddr::from_socket(address);
                    }
                    self.turn()?;
                    return Ok(Handshake::Addressed);
                }
                Stage::Handshaking(tls) => {
                    if !tls.handshake()? {
                        return Ok(Handshake::Pending);
                    }
                }
                Stage::Upgrading(bytes, upgrade) => {
                    let settings = self.stacking.config.websocket.as_ref().ok_or_else(not_open)?;
                    if !upgrade.advance(bytes, settings)? {
                        return Ok(Handshake::Pending);
                    }
                }
                Stage::Accepted(_) => {}
                Stage::Open(_) | Stage::WebSocket(_) => return Ok(Handshake::Done),
                Stage::Turning => return Err(not_open()),
            }
            self.turn()?;
        }
    }

    /// Puts the next layer onto a stage that is complete.
    fn turn(&mut self) -> io::Result<()> {
        let config = &self.stacking.config;
        let above_tls = |bytes| match config.websocket {
            Some(_) => Stage::Upgrading(bytes, Box::default()),
            None => Stage::Open(bytes),
        };
        self.stage = match mem::replace(&mut self.stage, Stage::Turning) {
            Stage::Proxy(socket, _) => Stage::Accepted(socket),
            Stage::Accepted(socket) => match &self.stacking.tls {
                Some(slot) => {
                    let tls = TlsStream::new(socket, slot.current().server_config())?;
                    Stage::Handshaking(Box::new(tls))
                }
                None => above_tls(Bytes::Plain(socket)),
            },
            Stage::Handshaking(tls) => above_tls(Bytes::Tls(tls)),
            Stage::Upgrading(bytes, _) => {
                let frame_bytes_max = config.websocket.as_ref().map_or(0, |settings| settings.frame_bytes_max);
                Stage::WebSocket(Box::new(WebSocketStream::new(bytes, frame_bytes_max)))
            }
            stage => stage,
        };
        Ok(())
    }

    /// Whether no handshake is left to do.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// Reads MQTT bytes with the semantics of `std`: `Ok(0)` is the end, `WouldBlock` is nothing now.
    /// A read that does not fill `buf` has drained the socket unless [`Self::may_have_buffered`].
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.open_mut().ok_or_else(not_open)?.read(buf)
    }

    /// Writes MQTT bytes: as few TLS records, or one WebSocket frame. `WouldBlock` means that earlier
    /// bytes still wait for the socket; at most one call's worth (64 KiB) ever does.
    pub fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.open_mut().ok_or_else(not_open)?.write(buf)
    }

    /// Sends what waits; `WouldBlock` when the socket does not take all of it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.open_mut().map_or(Ok(()), Write::flush)
    }

    /// Whether accepted bytes (also handshake, alerts, pongs) wait for the socket.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        match &self.stage {
            Stage::Handshaking(tls) => tls.wants_write(),
            Stage::Upgrading(bytes, upgrade) => upgrade.wants_write() || bytes.wants_write(),
            _ => self.open().is_some_and(ByteStream::wants_write),
        }
    }

    /// Whether a read may give more, or the end, without the socket becoming ready again. Look after
    /// every read that did not fill its buffer, `WouldBlock` included, and before pausing reads.
    #[must_use]
    pub fn may_have_buffered(&self) -> bool {
        self.open().is_some_and(ByteStream::may_have_buffered)
    }

    /// Whether a peer that has ended MQTT has no more to say: the socket may be closed at once.
    #[must_use]
    pub fn has_said_all(&self) -> bool {
        self.open().is_some_and(ByteStream::has_said_all)
    }

    /// Says goodbye in the words of every layer, as far as the socket takes them. Dropping the
    /// transport then closes the socket, both halves at once.
    pub fn farewell(&mut self) {
        if let Some(stream) = self.open_mut() {
            stream.farewell();
        }
    }

    /// Says goodbye in the words of every layer, as far as the socket takes them, and shuts the
    /// sending half. Dropping the transport then closes the socket.
    pub fn close(&mut self) {
        match &mut self.stage {
            Stage::Unlisted(socket) | Stage::Proxy(socket, _) | Stage::Accepted(socket) => socket.close(),
            Stage::Handshaking(tls) => tls.close(),
            Stage::Upgrading(bytes, _) | Stage::Open(bytes) => bytes.close(),
            Stage::WebSocket(stream) => stream.close(),
            Stage::Turning => {}
        }
    }

    /// Has what the kernel still holds for the peer thrown away once this is dropped: the connection is reset.
    pub fn abort(&mut self) {
        if let Ok(socket) = self.socket() {
            socket.abort();
        }
    }

    /// The verified client certificate, if one was presented; known on resumed sessions too.
    #[must_use]
    pub fn peer_identity(&self) -> Option<&PeerIdentity> {
        self.tls().and_then(TlsStream::identity)
    }

    /// What names the TLS 1.3 connection to both its ends alone (RFC 9266).
    #[must_use]
    pub fn channel_binding(&self) -> Option<[u8; 32]> {
        self.tls().and_then(TlsStream::channel_binding)
    }

    /// What the client sent, DER, its own certificate first; none unless the listener keeps it.
    #[must_use]
    pub fn peer_chain(&self) -> Option<Vec<Box<[u8]>>> {
        let keeps = self.stacking.config.tls.as_ref().is_some_and(|settings| settings.keeps_chain);
        self.tls().filter(|_| keeps).and_then(TlsStream::chain)
    }

    /// The peer: the socket's, or after `Handshake::Addressed` the one the proxy stated.
    #[must_use]
    pub fn peer_addr(&self) -> PeerAddr {
        self.peer
    }

    /// The name of the listener that accepted this connection.
    #[must_use]
    pub fn listener(&self) -> &str {
        &self.stacking.config.name
    }

    /// `mqtt`, `mqtts`, `ws`, `wss` or `unix`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.stacking.config.kind()
    }

    /// `TLS1.2` or `TLS1.3`, when there is TLS.
    #[must_use]
    pub fn tls_version(&self) -> Option<&'static str> {
        self.tls().and_then(TlsStream::version)
    }

    /// The cipher suite's IANA name, when there is TLS.
    #[must_use]
    pub fn tls_cipher(&self) -> Option<&'static str> {
        self.tls().and_then(TlsStream::cipher)
    }

    /// Whether TLS resumed an earlier session, so that no verifier looked at the certificate again.
    #[must_use]
    pub fn tls_resumed(&self) -> bool {
        self.tls().is_some_and(TlsStream::resumed)
    }

    fn tls(&self) -> Option<&TlsStream<Socket>> {
        match &self.stage {
            Stage::Handshaking(tls) => Some(tls),
            Stage::Upgrading(bytes, _) | Stage::Open(bytes) => bytes.tls(),
            Stage::WebSocket(stream) => stream.inner().tls(),
            _ => None,
        }
    }

    fn open(&self) -> Option<&dyn ByteStream> {
        match &self.stage {
            Stage::Open(bytes) => Some(bytes),
            Stage::WebSocket(stream) => Some(stream.as_ref()),
            _ => None,
        }
    }

    fn open_mut(&mut self) -> Option<&mut dyn ByteStream> {
        match &mut self.stage {
            Stage::Open(bytes) => Some(bytes),
            Stage::WebSocket(stream) => Some(stream.as_mut()),
            _ => None,
        }
    }

    fn socket(&mut self) -> io::Result<&mut Socket> {
        match &mut self.stage {
            Stage::Unlisted(socket) | Stage::Proxy(socket, _) | Stage::Accepted(socket) => Ok(socket),
            Stage::Handshaking(tls) => Ok(tls.inner()),
            Stage::Upgrading(bytes, _) | Stage::Open(bytes) => Ok(bytes.socket()),
            Stage::WebSocket(stream) => Ok(stream.inner_mut().socket()),
            Stage::Turning => Err(not_open()),
        }
    }
}

impl Source for Transport {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket()?.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket()?.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket()?.deregister(registry)
    }
}

impl Bytes {
    fn tls(&self) -> Option<&TlsStream<Socket>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls),
        }
    }

    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.inner(),
        }
    }

    fn stream(&mut self) -> &mut dyn ByteStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.as_mut(),
        }
    }
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream().read(buf)
    }
}

impl Write for Bytes {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}

impl ByteStream for Bytes {
    fn may_have_buffered(&self) -> bool {
        self.tls().is_some_and(ByteStream::may_have_buffered)
    }

    fn wants_write(&self) -> bool {
        self.tls().is_some_and(ByteStream::wants_write)
    }

    fn has_said_all(&self) -> bool {
        self.tls().is_none_or(ByteStream::has_said_all)
    }

    fn farewell(&mut self) {
        self.stream().farewell();
    }

    fn close(&mut self) {
        self.stream().close();
    }
}

fn unlisted() -> io::Error {
    let text = "this listener takes connections from listed proxies only";
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn not_open() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
