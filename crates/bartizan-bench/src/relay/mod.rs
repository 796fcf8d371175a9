//! The limit: the least that any broker must do for a message, on one thread, and nothing besides.
//!
//! | file          | what                                                                              |
//! |---------------|-----------------------------------------------------------------------------------|
//! | `publication` | a PUBLISH read in place, and written for a receiver                                |
//! | `peer`        | one client's connection and its identifiers                                        |
//! | `routes`      | who gets a topic: hash, full comparison, receivers                                 |
//! | `packets`     | what is done with each packet                                                      |
//!
//! It checks the topic, hashes it, looks up its receivers, writes each one's header and identifier, and checks
//! acknowledgements. It has no identities, no policy, no limits, no Sessions that last, no Retained Messages and no
//! store: it is a yardstick and never a broker.

mod packets;
mod peer;
mod publication;
mod routes;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;

use crate::arguments::RelayOptions;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::link::Link;
use crate::trust;
use peer::Peer;
use routes::Routes;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 256 * 1024;
const SCRATCH_BYTES: usize = 64 * 1024;

/// A relay that listens.
#[derive(Debug)]
pub struct Relay {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    routes: Routes,
    fault: Option<Fault>,
    tls: Option<Arc<ServerConfig>>,
    /// Peers with something to send.
    unsent: Vec<usize>,
}

impl Relay {
    /// Listens; port 0 takes any.
    pub fn bind(options: &RelayOptions) -> Result<Relay, Failure> {
        let text = format!("{}:{}", options.host, options.port);
        let wanted: SocketAddr =
            text.parse().map_err(|_| Failure::Usage(format!("{text} is no address of this machine")))?;
        if !wanted.ip().is_loopback() {
            return Err(Failure::Usage("a relay has no security: it listens on loopback only".into()));
        }
        let tls = options.tls.as_ref().map(|files| trust::server_config(&files.0, &files.1)).transpose()?.map(Arc::new);
        let open = || -> std::io::Result<(Poll, TcpListener, SocketAddr)> {
            let poll = Poll::new()?;
            let mut listener = TcpListener::bind(wanted)?;
            poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
            let address = listener.local_addr()?;
            Ok((poll, listener, address))
        };
        let (poll, listener, address) = open().map_err(Failure::system(format!("cannot listen on {wanted}")))?;
        let _ = crate::process::raise_descriptors(200_000);
        Ok(Relay {
            poll,
            listener,
            address,
            peers: Vec::new(),
            free: Vec::new(),
            routes: Routes::default(),
            fault: options.fault,
            tls,
            unsent: Vec::new(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Relays until `stopped`, which is asked ten times a second.
    pub fn run(&mut self, stopped: &dyn Fn() -> bool) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        let (mut buffer, mut scratch) = (vec![0; BUFFER_BYTES], vec![0; SCRATCH_BYTES]);
        while !stopped() {
            match self.poll.poll(&mut events, Some(Duration::from_millis(100))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(Failure::system("epoll")(error)),
                _ => {}
            }
            for event in &events {
                let index = event.token().0;
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                if event.is_writable() {
                    self.unsent.push(index);
                }
                if event.is_readable() {
                    self.read(index, &mut buffer, &mut scratch);
                }
            }
            self.flush();
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    stream
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(error) => return Err(Failure::system("accept")(error)),
            };
            let Ok(mut link) = Link::accepted(stream, self.tls.as_ref()) else { continue };
            let index = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            self.poll
                .registry()
                .register(link.source(), Token(index), Interest::READABLE | Interest::WRITABLE)
                .map_err(Failure::system("epoll"))?;
            if let Some(place) = self.peers.get_mut(index) {
                *place = Some(Peer::new(link));
            }
        }
    }

    /// Reads a peer until its socket is drained; one that errs is gone.
    fn read(&mut self, index: usize, buffer: &mut Vec<u8>, scratch: &mut [u8]) {
        loop {
            let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
            let got = match peer.receive(buffer, scratch) {
                Ok(Some(got)) => got,
                Ok(None) => return,
                Err(_) => return self.close(index),
            };
            let bytes = buffer.get(..got.len).unwrap_or_default();
            let Some(used) = self.packets(index, bytes) else { return self.close(index) };
            if let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) {
                peer.keep(bytes.get(used..).unwrap_or_default());
            }
            if !got.more {
                return;
            }
        }
    }

    fn flush(&mut self) {
        let mut unsent = std::mem::take(&mut self.unsent);
        for index in unsent.drain(..) {
            let failed = self.peers.get_mut(index).and_then(Option::as_mut).is_some_and(|peer| peer.flush().is_err());
            if failed {
                self.close(index);
            }
        }
        self.unsent = unsent;
    }

    fn close(&mut self, index: usize) {
        if let Some(peer) = self.peers.get_mut(index).and_then(Option::take) {
            if !peer.subscriptions.is_empty() {
                self.routes.forget();
            }
            self.free.push(index);
        }
    }
}
