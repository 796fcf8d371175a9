//! The HTTP request that becomes a WebSocket: bounded, strict, answered in a few bytes.

use std::io;

use httparse::{Header, Request};
use tungstenite::handshake::derive_accept_key;

use crate::listener::WebSocketSettings;
use crate::listener::socket::ByteStream;

/// The longest request head, a browser's cookies included.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
const READ_BYTES: usize = 1024;
/// [MQTT-6.0.0-3], [MQTT-6.0.0-4]
const SUB_PROTOCOL: &str = "mqtt";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Why a request is not upgraded: the status line it is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a WebSocket upgrade, or not HTTP.
    #[error("400 Bad Request")]
    BadRequest,
    /// The sub-protocol `mqtt` is not offered: [MQTT-6.0.0-3].
    #[error("400 Sub-protocol mqtt required")]
    NoSubProtocol,
    /// A browser page from an origin that is neither listed nor this listener.
    #[error("403 Origin Not Allowed")]
    Origin,
    /// Another path.
    #[error("404 Not Found")]
    Path,
    /// Another method than GET.
    #[error("405 Method Not Allowed")]
    Method,
    /// Another WebSocket version than 13.
    #[error("426 Upgrade Required")]
    Version,
    /// A request head that is too long.
    #[error("431 Request Header Fields Too Large")]
    TooLarge,
}

impl Refusal {
    fn response(self) -> String {
        let extra = match self {
            Self::Version => "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
            Self::Method => "Allow: GET\r\n",
            _ => "",
        };
        format!("HTTP/1.1 {self}\r\n{extra}Connection: close\r\nContent-Length: 0\r\n\r\n")
    }
}

/// Collects a request head and answers it.
#[derive(Debug, Default)]
pub struct Upgrade {
    head: Vec<u8>,
    /// What is still to be written of the 101 response.
    response: Vec<u8>,
}

impl Upgrade {
    /// Drives the upgrade until the response has left (`true`) or the stream would block (`false`).
    pub fn advance(&mut self, stream: &mut impl ByteStream, settings: &WebSocketSettings) -> io::Result<bool> {
        if self.response.is_empty() {
            if !self.read_head(stream)? {
                return Ok(false);
            }
            match accept_key(&self.head, settings) {
                Ok(key) => self.response = switching_protocols(&key).into_bytes(),
                Err(refusal) => return Err(refuse(stream, refusal)),
            }
            self.head = Vec::new();
        }
        while !self.response.is_empty() {
            match stream.write(&self.response) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.response.drain(..count.min(self.response.len()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match stream.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(true),
        }
    }

    /// Whether a response waits for the stream.
    pub fn wants_write(&self) -> bool {
        !self.response.is_empty()
    }

    fn read_head(&mut self, stream: &mut impl ByteStream) -> io::Result<bool> {
        loop {
            let mut scratch = [0; READ_BYTES];
            let count = match stream.read(&mut scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let seen = self.head.len().saturating_sub(HEAD_END.len() - 1);
            self.head.extend(scratch.iter().take(count));
            if self.head.len() > HEAD_BYTES_MAX {
                return Err(refuse(stream, Refusal::TooLarge));
            }
            let unseen = self.head.get(seen..).unwrap_or_default();
            if let Some(end) = unseen.windows(HEAD_END.len()).position(|window| window == HEAD_END) {
                // RFC 6455, 4.1: the client sends nothing before it has the response.
                let is_last = seen + end + HEAD_END.len() == self.head.len();
                return if is_last { Ok(true) } else { Err(refuse(stream, Refusal::BadRequest)) };
            }
        }
    }
}

fn refuse(stream: &mut impl ByteStream, refusal: Refusal) -> io::Error {
    // Best effort: whoever does not read the reason learns it from the close.
    let _ = stream.write(refusal.response().as_bytes());
    io::Error::new(io::ErrorKind::InvalidData, refusal)
}

fn switching_protocols(accept_key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\nSec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n"
    )
}

/// Checks a complete request head (RFC 6455, 4.2.1) and derives the accept key.
pub fn accept_key(head: &[u8], settings: &WebSocketSettings) -> Result<String, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        _ => return Err(Refusal::BadRequest),
    }
    if request.method != Some("GET") {
        return Err(Refusal::Method);
    }
    let path = request.path.and_then(|target| target.split('?').next());
    if path != Some(settings.path.as_str()) {
        return Err(Refusal::Path);
    }
    let headers = &*request.headers;
    check_upgrade(headers, request.version)?;
    check_origin(headers, &settings.origins)?;
    // The protocol name is compared as it is: RFC 6455, 4.2.2 has no case folding for it.
    if !tokens(headers, "sec-websocket-protocol").any(|token| token == SUB_PROTOCOL) {
        return Err(Refusal::NoSubProtocol);
    }
    let key = only(headers, "sec-websocket-key")?.unwrap_or_default();
    // Sixteen bytes in base64.
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if key.len() != 24 || !key.ends_with("==") || !key.as_bytes().iter().all(is_base64) {
        return Err(Refusal::BadRequest);
    }
    Ok(derive_accept_key(key.as_bytes()))
}

fn check_upgrade(headers: &[Header<'_>], version: Option<u8>) -> Result<(), Refusal> {
    let has = |name, wanted: &str| tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted));
    let has_body = only(headers, "content-length")?.is_some_and(|length| length != "0")
        || only(headers, "transfer-encoding")?.is_some();
    let is_upgrade = has("upgrade", "websocket") && has("connection", "upgrade");
    if version != Some(1) || only(headers, "host")?.is_none() || has_body || !is_upgrade {
        return Err(Refusal::BadRequest);
    }
    match only(headers, "sec-websocket-version")? {
        Some("13") => Ok(()),
        _ => Err(Refusal::Version),
    }
}

/// A browser states its page's origin; without this check any page could use its user's network.
fn check_origin(headers: &[Header<'_>], allowed: &[String]) -> Result<(), Refusal> {
    let host = only(headers, "host")?.unwrap_or_default();
    match only(headers, "origin")? {
        None => Ok(()),
        Some(origin) if allowed.iter().any(|listed| listed.eq_ignore_ascii_case(origin)) => Ok(()),
        Some(origin) if is_own_origin(origin, host) => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

/// Whether an origin is this listener itself, as libraries outside browsers claim (paho-mqtt always does).
///
/// No page comes from here, but one whose name was pointed here after it was loaded (DNS rebinding) would
/// claim the same. Over TLS the certificate, which lacks that name, has stopped it, and a page of https may
/// not open plaintext WebSockets. A page of http may: its origin counts only if it is no name of the DNS.
fn is_own_origin(origin: &str, host: &str) -> bool {
    let is = |scheme: &str| {
        let authority = origin.split_at_checked(scheme.len()).filter(|(given, _)| given.eq_ignore_ascii_case(scheme));
        authority.is_some_and(|(_, authority)| !host.is_empty() && authority.eq_ignore_ascii_case(host))
    };
    is("https://") || (is("http://") && is_literal(host))
}

/// An IP address or `localhost`, with or without a port: what no name server answers for.
fn is_literal(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
}

fn values<'a>(headers: &'a [Header<'_>], name: &'a str) -> impl Iterator<Item = Option<&'a str>> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| std::str::from_utf8(header.value).ok().map(str::trim))
}

/// A header that two parties could read differently when it is given twice is refused.
fn only<'a>(headers: &'a [Header<'_>], name: &'a str) -> Result<Option<&'a str>, Refusal> {
    let mut values = values(headers, name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(Some(value)), None) => Ok(Some(value)),
        _ => Err(Refusal::BadRequest),
    }
}

fn tokens<'a>(headers: &'a [Header<'_>], name: &'a str) -> impl Iterator<Item = &'a str> {
    values(headers, name).flatten().flat_map(|value| value.split(',')).map(str::trim)
}
