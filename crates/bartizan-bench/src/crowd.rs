//! All clients of a run, and how they are let in: connected, acknowledged and subscribed before any load begins.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use bartizan_core::wire::{
    DecodeError, Packet, PacketId, Properties, Property, QoS, ReasonCode, Role, decode, encode, frame,
};
use mio::{Events, Interest, Poll, Token};

use crate::client::{self, Client, Introduction, Stage};
use crate::failure::Failure;
use crate::link::Link;
use crate::progress::Progress;
use crate::target::Target;

/// Clients that may be on their way in at once, where nobody asks for more: below any sensible listen backlog.
const ENTERING_MAX: usize = 64;
/// Largest packet read.
pub const PACKET_BYTES_MAX: u32 = 268_435_460;
const BUFFER_BYTES: usize = 256 * 1024;
const SCRATCH_BYTES: usize = 64 * 1024;

/// What all connections of this thread share while one of them is read.
#[derive(Debug)]
pub struct Buffers {
    /// Octets as MQTT sees them.
    pub plain: Vec<u8>,
    /// Ciphertext.
    pub scratch: Vec<u8>,
}

impl Buffers {
    /// For packets of up to `packet_bytes`.
    #[must_use]
    pub fn new(packet_bytes: usize) -> Buffers {
        Buffers { plain: vec![0; BUFFER_BYTES.max(packet_bytes * 4)], scratch: vec![0; SCRATCH_BYTES] }
    }
}

/// What is done with a packet: of which client, and what that one sends next.
pub type Take<'a> = dyn FnMut(usize, &Packet<'_>, &mut Vec<u8>) -> Result<(), Failure> + 'a;

/// The clients, by their number, which is their token.
#[derive(Debug)]
pub struct Crowd {
    /// Where their events come from.
    pub poll: Poll,
    /// The broker they talk to.
    pub target: Target,
    /// Each client.
    pub clients: Vec<Client>,
    /// The smallest Receive Maximum that the broker told any of them.
    pub receive_maximum: u16,
    /// How many clients may be on their way in at once.
    pub entering_max: usize,
}

/// Says which client a failure is about.
pub fn lost(index: usize) -> impl FnOnce(io::Error) -> Failure {
    move |error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::Broker(format!("the broker closed connection {index}")),
        _ => Failure::Broker(format!("connection {index} failed: {error}")),
    }
}

/// A packet that has no place in this load.
pub fn not_expected(packet: &Packet<'_>) -> Failure {
    Failure::Broker(format!("the broker sent {packet:?}"))
}

/// Octets of the broker that are not MQTT.
pub fn not_mqtt(error: &DecodeError) -> Failure {
    Failure::Broker(format!("the broker sent what is not MQTT: {error}"))
}

impl Crowd {
    /// Nobody yet.
    pub fn new(target: Target) -> Result<Crowd, Failure> {
        let poll = Poll::new().map_err(Failure::system("epoll"))?;
        Ok(Crowd { poll, target, clients: Vec::new(), receive_maximum: u16::MAX, entering_max: ENTERING_MAX })
    }

    /// Lets all of them in, in this order; returns when each is `Ready`. An error if for so long nobody is let in:
    /// some brokers hash a password for each.
    pub fn admit(
        &mut self,
        who: Vec<Introduction>,
        patience: Duration,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let wanted = self.clients.len() + who.len();
        let first = self.clients.len();
        let mut waiting: VecDeque<Introduction> = who.into();
        let mut filters: Vec<Vec<_>> = Vec::with_capacity(waiting.len());
        let (mut events, mut buffers) = (Events::with_capacity(1024), Buffers::new(0));
        let (mut entering, mut ready, mut moved) = (0_usize, first, Instant::now());
        while ready < wanted {
            while entering < self.entering_max {
                let Some(mut next) = waiting.pop_front() else { break };
                filters.push(std::mem::take(&mut next.filters));
                self.enter(&next)?;
                entering += 1;
            }
            self.poll_once(&mut events, Duration::from_millis(100))?;
            for event in &events {
                let index = event.token().0;
                if event.is_writable() {
                    self.written(index)?;
                }
                if event.is_readable() && index >= first {
                    let of = filters.get(index - first).map_or(&[][..], Vec::as_slice);
                    let done = self.read(index, of, &mut buffers)?;
                    entering -= usize::from(done);
                    ready += usize::from(done);
                    moved = if done { Instant::now() } else { moved };
                }
            }
            progress.entering(ready, wanted);
            if moved.elapsed() > patience {
                return Err(Failure::Broker(format!("only {ready} of {wanted} clients were let in")));
            }
        }
        Ok(())
    }

    /// Waits for events; an interruption is none.
    pub fn poll_once(&mut self, events: &mut Events, timeout: Duration) -> Result<(), Failure> {
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(Failure::system("epoll")(error)),
            _ => Ok(()),
        }
    }

    /// One round for loads that need no speed of the generator: every packet that came goes to `take`, with its
    /// client's number and what that client sends next.
    pub fn exchange(&mut self, events: &mut Events, io: &mut Buffers, take: &mut Take<'_>) -> Result<(), Failure> {
        self.poll_once(events, Duration::from_millis(20))?;
        for event in &*events {
            let index = event.token().0;
            let Some(client) = self.clients.get_mut(index) else { continue };
            while event.is_readable() {
                let Some(got) = client.receive(&mut io.plain, &mut io.scratch).map_err(lost(index))? else { break };
                let mut bytes = io.plain.get(..got.len).unwrap_or_default();
                while let Some(found) = frame(bytes, PACKET_BYTES_MAX).map_err(|error| not_mqtt(&error))? {
                    let packet = decode(found, Role::Client, Some(self.target.version));
                    take(index, &packet.map_err(|error| not_mqtt(&error))?, &mut client.out)?;
                    bytes = bytes.get(found.len..).unwrap_or_default();
                }
                client.keep(bytes);
                if !got.more {
                    break;
                }
            }
            client.flush().map_err(lost(index))?;
        }
        Ok(())
    }

    /// Everybody says DISCONNECT, as far as the sockets take it.
    pub fn leave(mut self) {
        for client in &mut self.clients {
            encode::client_disconnect(&mut client.out, self.target.version, ReasonCode::Success, Properties::default());
            // Who does not listen any more is not told.
            let _ = client.flush();
        }
    }

    /// The TLS version and cipher suite in use; `None` without TLS.
    pub fn tls_text(&self) -> Option<String> {
        self.clients.first().and_then(|client| client.link.tls_text())
    }

    fn enter(&mut self, who: &Introduction) -> Result<(), Failure> {
        let index = self.clients.len();
        let link = Link::open(&self.target, self.target.source(index))
            .map_err(Failure::system(format!("connection {index} to {} cannot be opened", self.target.address)))?;
        let mut client = Client::new(link);
        client.connect(&self.target, who)?;
        self.poll
            .registry()
            .register(client.link.source(), Token(index), Interest::READABLE | Interest::WRITABLE)
            .map_err(Failure::system("epoll"))?;
        self.clients.push(client);
        Ok(())
    }

    fn written(&mut self, index: usize) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        client.link.connected().map_err(|error| {
            let where_to = self.target.address;
            Failure::Broker(format!("{where_to} cannot be reached: {error}: is the broker running?"))
        })?;
        client.flush().map(drop).map_err(lost(index))
    }

    /// Reads the answers of a client that comes in; true once it is `Ready`.
    fn read(&mut self, index: usize, filters: &[(String, QoS)], io: &mut Buffers) -> Result<bool, Failure> {
        let mut became_ready = false;
        loop {
            let Some(client) = self.clients.get_mut(index) else { return Ok(became_ready) };
            let Some(got) = client.receive(&mut io.plain, &mut io.scratch).map_err(lost(index))? else {
                // TLS may have had to answer before it could pass on CONNECT.
                client.flush().map_err(lost(index))?;
                return Ok(became_ready);
            };
            let mut bytes = io.plain.get(..got.len).unwrap_or_default();
            while client.stage != Stage::Ready {
                let Some(found) = frame(bytes, PACKET_BYTES_MAX).map_err(|error| not_mqtt(&error))? else { break };
                bytes = bytes.get(found.len..).unwrap_or_default();
                let packet =
                    decode(found, Role::Client, Some(self.target.version)).map_err(|error| not_mqtt(&error))?;
                let receive_maximum = answer(client, index, &packet, &self.target, filters)?;
                self.receive_maximum = self.receive_maximum.min(receive_maximum.unwrap_or(u16::MAX));
                became_ready |= client.stage == Stage::Ready;
            }
            client.keep(bytes);
            client.flush().map_err(lost(index))?;
            if !got.more {
                return Ok(became_ready);
            }
        }
    }
}

/// The next step of a client that comes in; the broker's Receive Maximum if this packet tells it.
fn answer(
    client: &mut Client,
    index: usize,
    packet: &Packet<'_>,
    target: &Target,
    filters: &[(String, QoS)],
) -> Result<Option<u16>, Failure> {
    match (client.stage, packet) {
        (Stage::Connecting, Packet::Connack(connack)) if connack.reason == ReasonCode::Success => {
            client.admitted(connack)?;
            client.stage = if filters.is_empty() { Stage::Ready } else { Stage::Subscribing };
            if !filters.is_empty() {
                client::subscribe(&mut client.out, target, PacketId::MIN, filters);
            }
            Ok(connack.properties.iter().find_map(|property| match property {
                Property::ReceiveMaximum(most) => Some(most),
                _ => None,
            }))
        }
        (Stage::Connecting, Packet::Connack(connack)) => {
            Err(Failure::Broker(format!("connection {index} was refused: {:?}", connack.reason)))
        }
        (Stage::Connecting, Packet::Auth(auth)) => client.proceed(auth).map(|()| None),
        (Stage::Subscribing, Packet::Suback(suback)) => {
            granted(index, suback.codes, filters)?;
            client.stage = Stage::Ready;
            Ok(None)
        }
        (_, other) => Err(Failure::Broker(format!("connection {index} got {other:?} before any load"))),
    }
}

/// Every filter must be granted at the QoS that was asked for, or the run would measure something else.
fn granted(index: usize, codes: &[u8], filters: &[(String, QoS)]) -> Result<(), Failure> {
    for (code, (filter, qos)) in codes.iter().zip(filters) {
        if *code != *qos as u8 {
            return Err(Failure::Broker(format!("connection {index}: {filter} was granted as 0x{code:02X}")));
        }
    }
    if codes.len() == filters.len() { Ok(()) } else { Err(Failure::Broker("a SUBACK is too short".into())) }
}
