//! WebSocket frames as a byte stream: payloads of binary frames in, one binary frame per write out.
//!
//! MQTT packets lie across and within frames as they like ([MQTT-6.0.0-2]), so frames are unmasked
//! where they were read and their payloads moved together; nothing is kept but a partial header and
//! a partial control frame.

use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::listener::socket::ByteStream;

/// RFC 6455, 5.2: two bytes, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;
/// RFC 6455, 5.5.
const CONTROL_BYTES_MAX: usize = 125;
/// The payload of one outgoing frame, and so what waits when the stream blocks.
const OUTGOING_BYTES_MAX: usize = 64 * 1024;
/// Capacity the outgoing buffer keeps between writes.
const OUTGOING_BYTES_KEPT: usize = 4 * 1024;
/// Reads of the stream below in one call, so that no peer can hold the reactor with empty frames.
const READS_MAX: usize = 16;

/// Why the peer's frames are refused, with the status code it is told (RFC 6455, 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The framing breaks RFC 6455.
    #[error("WebSocket frame against RFC 6455")]
    Protocol,
    /// A text frame: [MQTT-6.0.0-1].
    #[error("WebSocket text frame where MQTT needs binary frames")]
    Text,
    /// A frame longer than the listener allows.
    #[error("WebSocket frame longer than allowed")]
    TooLong,
}

impl FrameError {
    fn status(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Text => 1003,
            Self::TooLong => 1009,
        }
    }
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Incoming {
    opcode: OpCode,
    remaining: u64,
    mask: [u8; 4],
}

/// The server's end of a WebSocket over `S`.
#[derive(Debug)]
pub struct WebSocketStream<S> {
    inner: S,
    frame_bytes_max: u64,
    /// A header of which only a part has come.
    header: Vec<u8>,
    incoming: Option<Incoming>,
    /// The payload of a control frame of which only a part has come.
    control: Vec<u8>,
    /// Whether a message has begun whose last frame has not: the next data frame continues it.
    in_message: bool,
    /// The payload of the latest ping, not answered yet.
    pong: Option<Vec<u8>>,
    /// Frames that the stream below has not taken.
    outgoing: Vec<u8>,
    more: bool,
    peer_closed: bool,
    close_sent: bool,
    failed: Option<FrameError>,
}

impl<S: ByteStream> WebSocketStream<S> {
    /// A stream over `inner`, right behind the upgrade.
    pub fn new(inner: S, frame_bytes_max: u64) -> Self {
        Self {
            inner,
            frame_bytes_max,
            header: Vec::new(),
            incoming: None,
            control: Vec::new(),
            in_message: false,
            pong: None,
            outgoing: Vec::new(),
            more: true,
            peer_closed: false,
            close_sent: false,
            failed: None,
        }
    }

    /// The stream below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The stream below, to register it.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Moves the payloads within `raw[..count]` to its front and tells their length. What is wrong
    /// behind them is kept in `failed`, so that the outcome does not depend on how bytes were cut.
    fn unframe(&mut self, raw: &mut [u8], count: usize) -> usize {
        let (mut at, mut filled) = (0, 0);
        while at < count && !self.peer_closed {
            let Some(mut frame) = self.incoming else {
                match self.take_header(raw.get(at..count).unwrap_or_default()) {
                    Ok(taken) => at += taken,
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                }
                continue;
            };
            let length = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(count - at);
            let payload = raw.get_mut(at..at + length).unwrap_or_default();
            unmask(payload, frame.mask);
            if matches!(frame.opcode, OpCode::Data(_)) {
                raw.copy_within(at..at + length, filled);
                filled += length;
            } else {
                self.control.extend_from_slice(payload);
            }
            at += length;
            frame.remaining -= length as u64;
            frame.mask.rotate_left(length % 4);
            self.incoming = Some(frame);
            self.finish_frame();
        }
        filled
    }

    /// Takes header bytes from the front of `raw`, and tells how many.
    fn take_header(&mut self, raw: &[u8]) -> Result<usize, FrameError> {
        let before = self.header.len();
        self.header.extend(raw.iter().take(HEADER_BYTES_MAX - before));
        let mut cursor = Cursor::new(&self.header);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol)?;
        let Some((header, length)) = parsed else {
            // Fewer than a whole header were there, so all of them were taken.
            return Ok(self.header.len() - before);
        };
        let taken = usize::try_from(cursor.position()).unwrap_or(HEADER_BYTES_MAX).saturating_sub(before);
        self.header.clear();
        self.incoming = Some(self.check_header(&header, length)?);
        self.finish_frame();
        Ok(taken)
    }

    fn check_header(&mut self, header: &FrameHeader, length: u64) -> Result<Incoming, FrameError> {
        let (Some(mask), false) = (header.mask, header.rsv1 || header.rsv2 || header.rsv3) else {
            return Err(FrameError::Protocol);
        };
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > CONTROL_BYTES_MAX as u64 => {
                return Err(FrameError::Protocol);
            }
            OpCode::Control(_) => {}
            OpCode::Data(Data::Text) => return Err(FrameError::Text),
            OpCode::Data(data) => {
                let continues = matches!(data, Data::Continue);
                if continues != self.in_message {
                    return Err(FrameError::Protocol);
                }
                if length > self.frame_bytes_max {
                    return Err(FrameError::TooLong);
                }
                self.in_message = !header.is_final;
            }
        }
        Ok(Incoming { opcode: header.opcode, remaining: length, mask })
    }

    /// Ends the frame when its payload is complete, and acts on a control frame.
    fn finish_frame(&mut self) {
        let Some(frame) = self.incoming.take_if(|frame| frame.remaining == 0) else {
            return;
        };
        let OpCode::Control(control) = frame.opcode else {
            return;
        };
        let payload = std::mem::take(&mut self.control);
        match control {
            // Only the latest ping needs an answer (RFC 6455, 5.5.3), so a flood of them is one.
            Control::Ping => self.pong = Some(payload),
            Control::Close => {
                self.peer_closed = true;
                let status = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                self.queue_close(status);
            }
            Control::Pong | Control::Reserved(_) => {}
        }
    }

    fn queue_close(&mut self, status: Option<u16>) {
        if !std::mem::replace(&mut self.close_sent, true) {
            let payload = status.map(u16::to_be_bytes);
            let payload = payload.as_ref().map_or(&[][..], <[u8; 2]>::as_slice);
            self.queue_frame(OpCode::Control(Control::Close), payload);
        }
    }

    fn queue_frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        // Writing into a Vec cannot fail.
        let _ = header.format(payload.len() as u64, &mut self.outgoing);
        self.outgoing.extend_from_slice(payload);
    }

    /// Writes waiting frames until none is left (`true`) or the stream below would block (`false`).
    fn send(&mut self) -> io::Result<bool> {
        loop {
            let mut sent = 0;
            let blocked = loop {
                let waiting = self.outgoing.get(sent..).unwrap_or_default();
                if waiting.is_empty() {
                    break false;
                }
                match self.inner.write(waiting) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                    Err(error) => return Err(error),
                }
            };
            self.outgoing.drain(..sent);
            if blocked {
                return Ok(false);
            }
            if self.outgoing.capacity() > OUTGOING_BYTES_KEPT {
                self.outgoing = Vec::new();
            }
            match self.pong.take_if(|_| !self.close_sent) {
                Some(payload) => self.queue_frame(OpCode::Control(Control::Pong), &payload),
                None => return Ok(true),
            }
        }
    }

    /// Tells the peer why, and the caller.
    fn fail(&mut self, error: FrameError) -> io::Error {
        self.queue_close(Some(error.status()));
        let _ = self.send();
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl<S: ByteStream> Read for WebSocketStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS_MAX {
            if let Some(error) = self.failed {
                return Err(self.fail(error));
            }
            if self.peer_closed || buf.is_empty() {
                return Ok(0);
            }
            let count = match self.inner.read(buf) {
                Ok(0) => return Ok(0),
                Ok(count) => count,
                Err(error) => {
                    self.more = self.inner.may_have_buffered();
                    return Err(error);
                }
            };
            self.more = count == buf.len() || self.inner.may_have_buffered();
            let filled = self.unframe(buf, count);
            if self.pong.is_some() || self.close_sent {
                // A peer that has gone cannot take its answer, but what it sent before counts; the
                // error comes back with the next write.
                let _ = self.send();
            }
            if filled > 0 {
                self.more |= self.peer_closed || self.failed.is_some();
                return Ok(filled);
            }
        }
        self.more = true;
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl<S: ByteStream> Write for WebSocketStream<S> {
    /// Accepts bytes as one frame, and only when the frames before it have left.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.close_sent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.send()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let payload = buf.get(..OUTGOING_BYTES_MAX).unwrap_or(buf);
        if !payload.is_empty() {
            self.queue_frame(OpCode::Data(Data::Binary), payload);
            self.send()?;
        }
        Ok(payload.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.send()? { self.inner.flush() } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

impl<S: ByteStream> ByteStream for WebSocketStream<S> {
    fn may_have_buffered(&self) -> bool {
        self.more
    }

    fn wants_write(&self) -> bool {
        !self.outgoing.is_empty() || self.pong.is_some() || self.inner.wants_write()
    }

    /// Its Close frame may still come.
    fn has_said_all(&self) -> bool {
        false
    }

    fn farewell(&mut self) {
        self.queue_close(Some(1000));
        let _ = self.send();
        self.inner.farewell();
    }

    fn close(&mut self) {
        self.queue_close(Some(1000));
        let _ = self.send();
        self.inner.close();
    }
}

/// RFC 6455, 5.3, eight bytes at a time; `mask` starts with the byte for `payload`'s first.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}
