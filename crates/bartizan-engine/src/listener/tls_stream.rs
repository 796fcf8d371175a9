//! TLS stacked on a byte stream: the server's half of a rustls connection.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use super::socket::ByteStream;
use crate::tls::PeerIdentity;

/// Read from the socket at once: one full TLS record and its framing.
const CIPHERTEXT_BYTES: usize = 16 * 1024 + 256;
/// Bytes of records waiting for the socket before `write` stops accepting more.
const OUTGOING_BYTES_MAX: usize = 64 * 1024;
/// Certificates of a chain that are handed on: a longer one is none.
const CHAIN_MAX: usize = 8;
/// Socket reads in one call, so that no peer can hold the reactor with records that carry nothing.
const READS_MAX: usize = 16;

/// A TLS connection over `S`.
#[derive(Debug)]
pub struct TlsStream<S> {
    inner: S,
    connection: ServerConnection,
    /// Ciphertext that found no room while the caller's buffer was full; nearly always empty.
    held: Vec<u8>,
    /// Whether the last read of the socket took all there was.
    drained: bool,
    /// Whether the handshake has just taken all there was: its end often brings the first packet.
    fresh: bool,
    /// Whether a ticket may wait for our first packet, to leave in one write with it.
    ticket_waits: bool,
    /// Whether a read may give more without the socket becoming ready again.
    more: bool,
    /// Whether the peer has closed; plaintext before it is still delivered.
    ended: bool,
    /// Why the connection is broken; told once the plaintext before it is delivered.
    failed: Option<rustls::Error>,
    /// Boxed: most clients prove themselves otherwise.
    identity: Option<Box<PeerIdentity>>,
}

/// What one attempt to take ciphertext gave.
enum Taken {
    /// Records were processed.
    Some,
    /// The socket has nothing now.
    Nothing,
}

impl<S: ByteStream> TlsStream<S> {
    /// Begins a handshake under `config`.
    pub fn new(inner: S, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(broken)?;
        connection.set_buffer_limit(Some(OUTGOING_BYTES_MAX));
        Ok(Self {
            inner,
            connection,
            held: Vec::new(),
            drained: false,
            fresh: false,
            ticket_waits: true,
            // The client's first bytes may arrive together with the end of its handshake.
            more: true,
            ended: false,
            failed: None,
            identity: None,
        })
    }

    /// Drives the handshake until it is done (`true`) or has taken all that the socket had (`false`).
    pub fn handshake(&mut self) -> io::Result<bool> {
        self.drained = false;
        if self.connection.wants_write() {
            self.send()?;
        }
        while self.connection.is_handshaking() {
            if self.drained || matches!(self.take()?, Taken::Nothing) {
                return Ok(false);
            }
            if let Some(error) = self.failed.take() {
                return Err(broken(error));
            }
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.fresh = self.drained;
        let leaf = self.connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
        self.identity = leaf.map(PeerIdentity::from_certificate).transpose().map_err(invalid)?.map(Box::new);
        Ok(true)
    }

    /// The verified client certificate; also known on a resumed session.
    pub fn identity(&self) -> Option<&PeerIdentity> {
        self.identity.as_deref()
    }

    /// The certificates that the client sent, DER, its own first; also known on a resumed session.
    pub fn chain(&self) -> Option<Vec<Box<[u8]>>> {
        let sent = self.connection.peer_certificates()?;
        Some(sent.iter().take(CHAIN_MAX).map(|certificate| certificate.as_ref().into()).collect())
    }

    /// What names this connection to both its ends and to nobody else: `tls-exporter` of RFC 9266. Only with
    /// TLS 1.3: in TLS 1.2 it would need the extended master secret, of which nothing can be learnt here.
    pub fn channel_binding(&self) -> Option<[u8; 32]> {
        if self.connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        self.connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }

    /// The negotiated version, as `TLS1.2` or `TLS1.3`.
    pub fn version(&self) -> Option<&'static str> {
        match self.connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLS1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLS1.3"),
            _ => None,
        }
    }

    /// The negotiated cipher suite's IANA name.
    pub fn cipher(&self) -> Option<&'static str> {
        self.connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str())
    }

    /// Whether this handshake resumed an earlier session, in which case no verifier ran.
    pub fn resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// The stream below.
    pub fn inner(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes plaintext that is already decrypted.
    fn plaintext(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.connection.reader().read(buf) {
            // Without close_notify too: MQTT frames itself, so a cut shows as a missing DISCONNECT.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Takes ciphertext, held or from the socket, and processes it.
    fn take(&mut self) -> io::Result<Taken> {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.feed(&held)?;
            return Ok(Taken::Some);
        }
        let mut scratch = [0; CIPHERTEXT_BYTES];
        match self.inner.read(&mut scratch) {
            Ok(count) => {
                self.drained = count < scratch.len() && !self.inner.may_have_buffered();
                self.ended |= count == 0;
                self.feed(scratch.get(..count).unwrap_or_default())?;
                Ok(Taken::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.drained = true;
                Ok(Taken::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives ciphertext to rustls, an empty slice being the end of the stream. What it cannot take
    /// until plaintext has been read is held.
    fn feed(&mut self, mut ciphertext: &[u8]) -> io::Result<()> {
        let offered = ciphertext.len();
        loop {
            match self.connection.read_tls(&mut ciphertext) {
                Ok(_) => {}
                // No plaintext waits when feeding begins, so a refusal then would be for ever.
                Err(error) if ciphertext.len() == offered => return Err(error),
                Err(_) => {
                    self.held = ciphertext.to_vec();
                    break;
                }
            }
            match self.connection.process_new_packets() {
                Ok(state) => self.ended |= state.peer_has_closed(),
                Err(error) => self.failed = Some(error),
            }
            if ciphertext.is_empty() || self.failed.is_some() {
                break;
            }
        }
        if self.has_only_a_ticket() {
            return Ok(());
        }
        // Alerts, tickets and key updates: sent as far as the socket takes them.
        match self.send() {
            Err(error) if self.failed.is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes records to the socket until none is left (`true`) or it would block (`false`).
    fn send(&mut self) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.inner) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether what waits is the ticket at the end of a TLS 1.3 handshake, which nobody waits for.
    fn has_only_a_ticket(&self) -> bool {
        self.ticket_waits
            && self.failed.is_none()
            && !self.connection.is_handshaking()
            && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Whether the stream is over: by an error, or by the peer's close.
    fn is_over(&self) -> bool {
        self.failed.is_some() || (self.ended && self.held.is_empty())
    }
}

impl<S: ByteStream> Read for TlsStream<S> {
    /// Fills `buf` as far as the socket's bytes go. After a short read the socket is drained, unless
    /// `may_have_buffered` says otherwise.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (mut filled, mut reads) = (0, usize::from(std::mem::take(&mut self.fresh)));
        self.more = loop {
            filled += self.plaintext(buf.get_mut(filled..).unwrap_or_default())?;
            if filled == buf.len() {
                break true;
            }
            if self.is_over() {
                if filled > 0 {
                    break true;
                }
                return self.failed.take().map_or(Ok(0), |error| Err(broken(error)));
            }
            if reads > 0 && self.drained && self.held.is_empty() {
                break false;
            }
            if reads == READS_MAX {
                break true;
            }
            reads += 1;
            match self.take() {
                Ok(Taken::Some) => {}
                Ok(Taken::Nothing) => break false,
                // What came before the error is delivered first; the next read meets it again.
                Err(_) if filled > 0 => break true,
                Err(error) => return Err(error),
            }
        };
        if filled == 0 && !buf.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(filled) }
    }
}

impl<S: ByteStream> Write for TlsStream<S> {
    /// Accepts bytes only when all earlier records but a ticket have left, so at most one call's
    /// worth waits.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !std::mem::take(&mut self.ticket_waits) && !self.send()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.connection.writer().write(buf)?;
        self.send()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ticket_waits = false;
        if self.send()? { self.inner.flush() } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

impl<S: ByteStream> ByteStream for TlsStream<S> {
    fn may_have_buffered(&self) -> bool {
        self.more
    }

    fn wants_write(&self) -> bool {
        self.connection.wants_write() || self.inner.wants_write()
    }

    fn has_said_all(&self) -> bool {
        self.ended
    }

    fn farewell(&mut self) {
        self.connection.send_close_notify();
        let _ = self.send();
    }

    fn close(&mut self) {
        self.farewell();
        self.inner.close();
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
