//! The PROXY protocol, versions 1 and 2: who the client of a trusted load balancer is.
//!
//! A pure, incremental parser. It tells how many bytes may be read next without ever reading past
//! the header, because what follows belongs to TLS or MQTT. `SPEC` below is the HAProxy
//! specification "The PROXY protocol, versions 1 & 2".

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header accepted: the specification's own bound for version 2 with its TLVs.
pub const HEADER_BYTES_MAX: usize = 536;
/// The longest version 1 line, CRLF included (SPEC 2.1).
const V1_BYTES_MAX: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;
const V1_START: &[u8] = b"PROXY ";
/// No header of either version is shorter than this.
const START_BYTES: usize = 12;

/// What a complete header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The connection is the proxy's own (`LOCAL`, `UNKNOWN`, `UNSPEC`): the socket's address holds.
    Local,
    /// The client behind the proxy.
    Client(SocketAddr),
}

/// Where the parser stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// This many further bytes certainly belong to the header.
    Read(usize),
    /// The header ended with the last byte given.
    Complete(ProxyHeader),
}

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Neither signature.
    #[error("no PROXY protocol header where this listener requires one")]
    NotAHeader,
    /// More bytes than a header may have.
    #[error("the PROXY protocol header is longer than allowed")]
    TooLong,
    /// A signature followed by something else than the specification allows.
    #[error("the PROXY protocol header is malformed")]
    Malformed,
}

/// Looks at all header bytes read so far.
pub fn parse(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let compared = bytes.len().min(START_BYTES);
    if V2_SIGNATURE.get(..compared) == bytes.get(..compared) {
        return parse_v2(bytes);
    }
    let compared = bytes.len().min(V1_START.len());
    if V1_START.get(..compared) == bytes.get(..compared) {
        return parse_v1(bytes);
    }
    Err(ProxyError::NotAHeader)
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, ProxyError> {
    if bytes.len() < START_BYTES {
        return Ok(Progress::Read(START_BYTES - bytes.len()));
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        // The line ends with two bytes, so one may be read after CR and two after anything else.
        let next = if bytes.last() == Some(&b'\r') { 1 } else { 2 };
        return if bytes.len() + next > V1_BYTES_MAX { Err(ProxyError::TooLong) } else { Ok(Progress::Read(next)) };
    };
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    if line.contains(['\r', '\n']) {
        return Err(ProxyError::Malformed);
    }
    let mut words = line.split(' ').skip(1);
    let header = match words.next() {
        // SPEC 2.1: whatever follows UNKNOWN up to CRLF is ignored.
        Some("UNKNOWN") => ProxyHeader::Local,
        Some("TCP4") => v1_client::<Ipv4Addr>(words)?,
        Some("TCP6") => v1_client::<Ipv6Addr>(words)?,
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Progress::Complete(header))
}

fn v1_client<'a, A>(mut words: impl Iterator<Item = &'a str>) -> Result<ProxyHeader, ProxyError>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let (source, destination) = (words.next().and_then(v1_address::<A>), words.next().and_then(v1_address::<A>));
    let (source_port, destination_port) = (words.next().and_then(v1_port), words.next().and_then(v1_port));
    match (source, destination, source_port, destination_port, words.next()) {
        (Some(ip), Some(_), Some(port), Some(_), None) => Ok(ProxyHeader::Client(SocketAddr::new(ip, port))),
        _ => Err(ProxyError::Malformed),
    }
}

fn v1_address<A: std::str::FromStr + Into<IpAddr>>(word: &str) -> Option<IpAddr> {
    word.parse::<A>().ok().map(Into::into)
}

/// SPEC 2.1: decimal, no sign, no leading zeroes.
fn v1_port(word: &str) -> Option<u16> {
    let canonical = word == "0" || word.bytes().next().is_some_and(|first| first != b'0');
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { word.parse().ok() } else { None }
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        // Up to the signature's end first: a version 1 line can be shorter than the fixed part.
        let goal = if bytes.len() < START_BYTES { START_BYTES } else { V2_FIXED_BYTES };
        return Ok(Progress::Read(goal - bytes.len()));
    };
    let [.., version_command, family, high, low] = *fixed;
    let body_bytes = usize::from(u16::from_be_bytes([high, low]));
    if V2_FIXED_BYTES + body_bytes > HEADER_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    if rest.len() < body_bytes {
        return Ok(Progress::Read(body_bytes - rest.len()));
    }
    let header = match (version_command, family) {
        (0x20, _) => ProxyHeader::Local,
        (0x21, 0x11) => v2_client_v4(rest)?,
        (0x21, 0x21) => v2_client_v6(rest)?,
        // AF_UNSPEC and a Unix stream carry no client address we could use (SPEC 2.2).
        (0x21, 0x00 | 0x31) => ProxyHeader::Local,
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Progress::Complete(header))
}

/// Source, destination, source port, destination port; TLVs behind them are skipped.
fn v2_client_v4(body: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let Some(([a, b, c, d, _, _, _, _, high, low, _, _], _)) = body.split_first_chunk::<12>() else {
        return Err(ProxyError::Malformed);
    };
    let ip = Ipv4Addr::new(*a, *b, *c, *d);
    Ok(ProxyHeader::Client(SocketAddr::new(ip.into(), u16::from_be_bytes([*high, *low]))))
}

fn v2_client_v6(body: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let (source, rest) = body.split_first_chunk::<16>().ok_or(ProxyError::Malformed)?;
    let (_, rest) = rest.split_first_chunk::<16>().ok_or(ProxyError::Malformed)?;
    let (port, rest) = rest.split_first_chunk::<2>().ok_or(ProxyError::Malformed)?;
    if rest.len() < 2 {
        return Err(ProxyError::Malformed);
    }
    let ip = IpAddr::from(Ipv6Addr::from(*source));
    Ok(ProxyHeader::Client(SocketAddr::new(ip, u16::from_be_bytes(*port))))
}

/// Collects a header from a stream, reading not one byte past it.
#[derive(Debug, Default)]
pub struct ProxyReader {
    bytes: Vec<u8>,
}

impl ProxyReader {
    /// Reads what is there. `None`: the header is not complete and the stream would block.
    pub fn advance(&mut self, stream: &mut impl Read) -> io::Result<Option<ProxyHeader>> {
        loop {
            let next = match parse(&self.bytes).map_err(refused)? {
                Progress::Complete(header) => return Ok(Some(header)),
                Progress::Read(next) => next,
            };
            let mut scratch = [0; HEADER_BYTES_MAX];
            let Some(space) = scratch.get_mut(..next) else {
                return Err(refused(ProxyError::TooLong));
            };
            match stream.read(space) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.bytes.extend(space.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn refused(error: ProxyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
