//! What holds for any bytes given to the WebSocket layer; shared by a test and the fuzz target.

use std::io::{self, ErrorKind, Read, Write};

use bartizan_engine::listener::WebSocketSettings;
use bartizan_engine::listener::socket::ByteStream;
use bartizan_engine::listener::websocket::upgrade::accept_key;
use bartizan_engine::listener::websocket::{Upgrade, WebSocketStream};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const FRAME_BYTES_MAX: u64 = 4096;

/// Bytes in pieces, with a `WouldBlock` between them, and a sink that takes a few bytes at a time.
#[derive(Debug)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
    blocks: bool,
    blocked: bool,
    /// What was written.
    pub sent: Vec<u8>,
}

impl<'a> Pieces<'a> {
    /// `bytes` in pieces of `piece`, blocking between them when `blocks`.
    pub fn new(bytes: &'a [u8], piece: usize, blocks: bool) -> Self {
        Self { rest: bytes, piece, blocks, blocked: false, sent: Vec::new() }
    }

    fn blocks_now(&mut self) -> bool {
        self.blocked = self.blocks && !self.blocked;
        self.blocked
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.blocks_now() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = buf.len().min(self.piece).min(self.rest.len());
        let (now, rest) = self.rest.split_at(length);
        buf[..length].copy_from_slice(now);
        self.rest = rest;
        Ok(length)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.blocks_now() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = buf.len().min(self.piece);
        self.sent.extend_from_slice(&buf[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ByteStream for Pieces<'_> {
    fn may_have_buffered(&self) -> bool {
        true
    }

    fn wants_write(&self) -> bool {
        false
    }

    fn close(&mut self) {}
}

/// The payload bytes of all frames, and how it ended: `None` for an orderly end.
fn unframed(pieces: Pieces<'_>, buffer: usize) -> (Vec<u8>, Option<String>) {
    let mut stream = WebSocketStream::new(pieces, FRAME_BYTES_MAX);
    let (mut payload, mut buffer) = (Vec::new(), vec![0; buffer]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (payload, None),
            Ok(count) => payload.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => assert!(stream.may_have_buffered()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidData);
                assert!(stream.write(b"late").is_err(), "no data frame follows a Close frame");
                return (payload, Some(error.to_string()));
            }
        }
    }
}

/// What tungstenite's own server makes of the same bytes, as far as it goes.
fn reference(bytes: &[u8]) -> Vec<u8> {
    let limit = Some(FRAME_BYTES_MAX as usize);
    let config = WebSocketConfig::default().max_frame_size(limit).read_buffer_size(4096);
    let pieces = Pieces::new(bytes, usize::MAX, false);
    let mut socket = WebSocket::from_raw_socket(pieces, Role::Server, Some(config));
    let mut payload = Vec::new();
    while let Ok(message) = socket.read() {
        match message {
            Message::Binary(binary) => payload.extend_from_slice(&binary),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => break,
        }
    }
    payload
}

/// Frames: the outcome does not depend on how bytes are cut or how large the reader's buffer is,
/// and every message that tungstenite accepts comes out. The first two bytes choose the cut.
pub fn check_frames(input: &[u8]) {
    let Some(([piece, buffer], bytes)) = input.split_first_chunk::<2>() else {
        return;
    };
    let whole = unframed(Pieces::new(bytes, usize::MAX, false), 64 * 1024);
    let cut = unframed(Pieces::new(bytes, usize::from(*piece) + 1, true), usize::from(*buffer) + 1);
    assert_eq!(whole, cut);
    let reference = reference(bytes);
    assert!(whole.0.starts_with(&reference), "{reference:x?} is not the start of {:x?}", whole.0);
}

/// The upgrade: a request is accepted or refused alike however it is cut.
pub fn check_upgrade(input: &[u8]) {
    let Some((piece, bytes)) = input.split_first() else {
        return;
    };
    let settings = WebSocketSettings::default();
    let mut outcomes = Vec::new();
    for piece in [usize::from(*piece) + 1, 1] {
        let mut pieces = Pieces::new(bytes, piece, true);
        let mut upgrade = Upgrade::default();
        let outcome = loop {
            match upgrade.advance(&mut pieces, &settings) {
                Ok(false) => {}
                Ok(true) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        assert!(outcome.is_some() || pieces.sent.starts_with(b"HTTP/1.1 101 "));
        // A request with bytes behind it is refused only if they were seen before the answer.
        if outcome.is_none() && pieces.rest.is_empty() {
            assert!(accept_key(bytes, &settings).is_ok());
        }
        outcomes.push((outcome, pieces.rest.is_empty()));
    }
    if outcomes.iter().all(|(_, at_end)| *at_end) {
        assert_eq!(outcomes[0].0, outcomes[1].0);
    }
}
