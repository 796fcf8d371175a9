//! One connection's octets, plain or through TLS, of a client or of the relay, never waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ClientConnection, Connection, HandshakeKind, ServerConfig, ServerConnection};
use socket2::{Domain, Protocol, Socket, Type};

use crate::target::Target;

/// What one receive brought.
#[derive(Clone, Copy, Debug)]
pub struct Got {
    /// Octets, never none.
    pub len: usize,
    /// There may be more without another event: sockets are edge-triggered.
    pub more: bool,
}

/// A non-blocking byte stream.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    tls: Option<Box<TlsHalf>>,
}

#[derive(Debug)]
struct TlsHalf {
    connection: Connection,
    /// Ciphertext for whose plaintext there was no room.
    rest: Vec<u8>,
}

impl Link {
    /// Begins to connect, from this local address if one is named.
    pub fn open(target: &Target, from: Option<SocketAddr>) -> io::Result<Link> {
        let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = from {
            // Ports of connections that are over would otherwise be taken for a minute.
            socket.set_reuse_address(true)?;
            socket.bind(&from.into())?;
        }
        begin(&socket, target.address)?;
        let tls = match &target.tls {
            None => None,
            Some(tls) => {
                let connection = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(unusable)?;
                Some(TlsHalf::new(connection.into()))
            }
        };
        Ok(Link { stream: TcpStream::from_std(socket.into()), tls })
    }

    /// A connection that was accepted.
    pub fn accepted(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Link> {
        let tls = match tls {
            None => None,
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).map_err(unusable)?;
                Some(TlsHalf::new(connection.into()))
            }
        };
        Ok(Link { stream, tls })
    }

    /// For registration.
    pub fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Why connecting failed, if it did.
    pub fn connected(&self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)
    }

    /// Was the handshake full or resumed? `None` before its end, and without TLS.
    #[must_use]
    pub fn handshake(&self) -> Option<HandshakeKind> {
        self.tls.as_ref().and_then(|half| half.connection.handshake_kind())
    }

    /// Tells TLS that nothing follows; it is sent with the next packets.
    pub fn close_notify(&mut self) {
        if let Some(half) = &mut self.tls {
            half.connection.send_close_notify();
        }
    }

    /// Version and cipher suite; `None` before the handshake's end, and without TLS.
    #[must_use]
    pub fn tls_text(&self) -> Option<String> {
        let connection = &self.tls.as_ref()?.connection;
        let (version, suite) = (connection.protocol_version()?, connection.negotiated_cipher_suite()?);
        let group = connection.negotiated_key_exchange_group()?.name();
        Some(format!("{version:?} {:?} {group:?}", suite.suite()))
    }

    /// Receives into `into`. `scratch` holds ciphertext during the call. `None`: nothing there.
    pub fn receive(&mut self, into: &mut [u8], scratch: &mut [u8]) -> io::Result<Option<Got>> {
        let Some(half) = &mut self.tls else {
            return Ok(receive(&mut self.stream, into)?.map(|len| Got { len, more: len == into.len() }));
        };
        half.receive(&mut self.stream, into, scratch)
    }

    /// Sends what it can of `octets`; how many it took.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(half) = &mut self.tls else {
            return send(&mut self.stream, octets);
        };
        half.connection.writer().write_all(octets)?;
        half.push(&mut self.stream)?;
        Ok(octets.len())
    }

    /// Sends ciphertext that is left; true if none is.
    pub fn push(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |half| half.push(&mut self.stream))
    }
}

impl TlsHalf {
    fn new(mut connection: Connection) -> Box<TlsHalf> {
        // What is written is bounded by the windows of the load.
        connection.set_buffer_limit(None);
        Box::new(TlsHalf { connection, rest: Vec::new() })
    }

    fn receive(&mut self, stream: &mut TcpStream, into: &mut [u8], scratch: &mut [u8]) -> io::Result<Option<Got>> {
        let mut len = 0;
        let mut rest = std::mem::take(&mut self.rest);
        len += self.open(&mut rest, into, len)?;
        let mut drained = false;
        while !drained && rest.is_empty() && len < into.len() {
            let Some(got) = receive(stream, scratch)? else {
                drained = true;
                continue;
            };
            drained = got < scratch.len();
            let mut cipher = scratch.get(..got).unwrap_or_default();
            len += self.feed(&mut cipher, into, len)?;
            rest.extend_from_slice(cipher);
        }
        // The handshake, tickets and key updates are answered here.
        self.push(stream)?;
        // Where the room is full there may be plaintext left.
        let more = !drained || !rest.is_empty() || len == into.len();
        self.rest = rest;
        Ok((len > 0).then_some(Got { len, more }))
    }

    /// Opens ciphertext that was left over.
    fn open(&mut self, rest: &mut Vec<u8>, into: &mut [u8], at: usize) -> io::Result<usize> {
        let mut cipher = rest.as_slice();
        let len = self.feed(&mut cipher, into, at)?;
        let left = cipher.len();
        rest.drain(..rest.len() - left);
        Ok(len)
    }

    /// Opens ciphertext until it or the room ends.
    fn feed(&mut self, cipher: &mut &[u8], into: &mut [u8], at: usize) -> io::Result<usize> {
        let mut len = self.drain(into, at)?;
        while !cipher.is_empty() && at + len < into.len() {
            self.connection.read_tls(cipher)?;
            let state = self.connection.process_new_packets();
            state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            len += self.drain(into, at + len)?;
        }
        Ok(len)
    }

    fn drain(&mut self, into: &mut [u8], at: usize) -> io::Result<usize> {
        let room = into.get_mut(at..).unwrap_or_default();
        match self.connection.reader().read(room) {
            Ok(0) if !room.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => Ok(len),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn push(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn unusable(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}

fn begin(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Ok(()),
        other => other,
    }
}

fn receive(stream: &mut TcpStream, into: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(into) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn send(stream: &mut TcpStream, octets: &[u8]) -> io::Result<usize> {
    loop {
        match stream.write(octets) {
            Ok(len) => return Ok(len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
