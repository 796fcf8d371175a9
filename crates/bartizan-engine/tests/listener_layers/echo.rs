//! An edge-triggered echo server that uses a `Transport` exactly as the reactor does.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use bartizan_engine::listener::{Bind, BoundListener, Handshake, ListenerConfig, PeerAddr, Transport, bind};
use bartizan_engine::tls::{PeerIdentity, TlsSlot};
use mio::{Events, Interest, Poll, Token, Waker};

pub const WAIT: Duration = Duration::from_secs(10);

/// What the server saw of one connection.
#[derive(Debug)]
pub enum Seen {
    Addressed(PeerAddr),
    Open(Box<Opened>),
    /// The connection failed, with the text of the error.
    Failed(String),
    /// The peer closed.
    Ended,
}

#[derive(Debug)]
pub struct Opened {
    pub peer: PeerAddr,
    pub kind: &'static str,
    pub identity: Option<PeerIdentity>,
    pub chain: Option<Vec<Box<[u8]>>>,
    pub version: Option<&'static str>,
    pub cipher: Option<&'static str>,
    pub resumed: bool,
    pub channel_binding: Option<[u8; 32]>,
}

pub struct Echo {
    pub address: Option<SocketAddr>,
    pub slot: Option<TlsSlot>,
    seen: Receiver<Seen>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

/// A plaintext listener on a free loopback port.
pub fn loopback() -> ListenerConfig {
    listening_at("127.0.0.1:0")
}

pub fn listening_at(address: &str) -> ListenerConfig {
    let text = format!(r#"{{"name": "test", "bind": {{"tcp": "{address}"}}}}"#);
    serde_json::from_str(&text).unwrap()
}

impl Echo {
    pub fn start(config: &ListenerConfig, slot: Option<TlsSlot>) -> Self {
        Self::start_with_buffer(config, slot, 64 * 1024)
    }

    pub fn start_with_buffer(config: &ListenerConfig, slot: Option<TlsSlot>, buffer: usize) -> Self {
        let listener = bind(config, slot).unwrap();
        let (address, slot) = (listener.local_addr(), listener.tls_slot().cloned());
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), STOP).unwrap());
        let (sender, seen) = mpsc::channel();
        let thread = std::thread::spawn(move || serve(listener, poll, buffer, &sender));
        Self { address, slot, seen, waker, thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub fn next(&self) -> Seen {
        self.seen.recv_timeout(WAIT).expect("the server saw nothing")
    }

    pub fn opened(&self) -> Opened {
        match self.next() {
            Seen::Open(opened) => *opened,
            other => panic!("expected an open connection, saw {other:?}"),
        }
    }

    pub fn failure(&self) -> String {
        match self.next() {
            Seen::Failed(text) => text,
            other => panic!("expected a failure, saw {other:?}"),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.waker.wake().unwrap();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

const LISTENER: Token = Token(0);
const STOP: Token = Token(1);

fn serve(mut listener: BoundListener, mut poll: Poll, buffer: usize, seen: &Sender<Seen>) {
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let mut connections = HashMap::new();
    let mut buffer = vec![0; buffer];
    let mut events = Events::with_capacity(64);
    for next in 2.. {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            match event.token() {
                STOP => return,
                LISTENER => {
                    while let Some((mut transport, _)) = listener.accept().unwrap() {
                        let token = Token(next * 1000 + connections.len());
                        let interest = Interest::READABLE | Interest::WRITABLE;
                        poll.registry().register(&mut transport, token, interest).unwrap();
                        connections.insert(token, Connection { transport, open: false, out: Vec::new() });
                    }
                }
                token => {
                    let Some(connection) = connections.get_mut(&token) else {
                        continue;
                    };
                    let over = match connection.ready(event.is_read_closed(), &mut buffer, seen) {
                        Ok(alive) => (!alive).then_some(Seen::Ended),
                        Err(error) => Some(Seen::Failed(error.to_string())),
                    };
                    if let Some(over) = over {
                        connection.transport.close();
                        // Kept until the peer has read everything: closing with unread bytes resets.
                        let mut connection = connections.remove(&token).unwrap();
                        poll.registry().deregister(&mut connection.transport).unwrap();
                        let _ = seen.send(over);
                        std::thread::spawn(move || {
                            std::thread::sleep(Duration::from_millis(200));
                            drop(connection);
                        });
                    }
                }
            }
        }
    }
}

struct Connection {
    transport: Transport,
    open: bool,
    out: Vec<u8>,
}

impl Connection {
    fn ready(&mut self, closed: bool, buffer: &mut [u8], seen: &Sender<Seen>) -> io::Result<bool> {
        while !self.open {
            match self.transport.advance()? {
                Handshake::Pending => return Ok(true),
                Handshake::Addressed => drop(seen.send(Seen::Addressed(self.transport.peer_addr()))),
                Handshake::Done => {
                    self.open = true;
                    drop(seen.send(Seen::Open(Box::new(opened(&self.transport)))));
                }
            }
        }
        self.pump(closed, buffer)
    }

    fn pump(&mut self, closed: bool, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            if !self.send()? {
                return Ok(true);
            }
            match self.transport.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.out.extend_from_slice(&buffer[..count]);
                    let drained = count < buffer.len() && !self.transport.may_have_buffered();
                    if drained && !closed {
                        self.send()?;
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.transport.may_have_buffered() {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            match self.transport.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match self.transport.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            flushed => {
                assert_eq!(flushed.is_err(), self.transport.wants_write());
                Ok(true)
            }
        }
    }
}

fn opened(transport: &Transport) -> Opened {
    Opened {
        peer: transport.peer_addr(),
        kind: transport.kind(),
        identity: transport.peer_identity().cloned(),
        chain: transport.peer_chain(),
        version: transport.tls_version(),
        cipher: transport.tls_cipher(),
        resumed: transport.tls_resumed(),
        channel_binding: transport.channel_binding(),
    }
}

#[test]
fn settings_have_safe_defaults_and_no_unknown_keys() {
    let config: ListenerConfig = serde_json::from_str(
        r#"{"name": "x", "bind": {"unix": {"path": "s"}}, "tls": {"tls_min": "1.3"}, "websocket": {}}"#,
    )
    .unwrap();
    assert_eq!(config.bind, Bind::Unix { path: "s".into(), mode: 0o600 });
    let tls = config.tls.unwrap();
    assert_eq!(tls.client_certificates, bartizan_engine::listener::ClientCertificates::Required);
    assert!(config.websocket.unwrap().origins.is_empty());
    let unknown = r#"{"name": "x", "bind": {"tcp": "127.0.0.1:1"}, "tsl": {}}"#;
    assert!(serde_json::from_str::<ListenerConfig>(unknown).is_err());
}
