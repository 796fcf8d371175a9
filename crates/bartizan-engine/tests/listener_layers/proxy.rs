//! The PROXY protocol: from listed addresses only, exact to the byte, bounded.

use std::io::{Read, Write};
use std::net::Shutdown;

use bartizan_engine::listener::ListenerConfig;
use bartizan_engine::listener::proxy_protocol::{Progress, ProxyError, ProxyHeader, parse};

use crate::echo::{Echo, Seen, loopback};
use crate::pki::tcp;

const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&V2[..], &[version_command, family], &length, body].concat()
}

fn v4_body() -> Vec<u8> {
    vec![203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0x22, 0xb3]
}

fn from_loopback() -> ListenerConfig {
    ListenerConfig { proxy_protocol_from: vec!["127.0.0.0/8".parse().unwrap()], ..loopback() }
}

/// Feeds `bytes` as the reader does, and checks that the parser never asks beyond the header.
fn parsed(header: &[u8], behind: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let all = [header, behind].concat();
    let mut read = 0;
    loop {
        match parse(&all[..read])? {
            Progress::Complete(found) => {
                assert_eq!(read, header.len(), "the header's length is what was read");
                return Ok(found);
            }
            Progress::Read(next) => {
                assert!(next > 0);
                read += next;
                assert!(read <= header.len(), "read into what follows the header");
            }
        }
    }
}

#[test]
fn good_headers_of_both_versions_are_read_exactly() {
    let client = |text: &str| ProxyHeader::Client(text.parse().unwrap());
    let v6_body = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 80, 1, 187]].concat();
    let with_tlv = [v4_body(), vec![0x04, 0, 2, 9, 9]].concat();
    let cases: Vec<(Vec<u8>, ProxyHeader)> = vec![
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 8883\r\n".to_vec(), client("203.0.113.7:12345")),
        (b"PROXY TCP6 2001:db8::7 ::1 80 443\r\n".to_vec(), client("[2001:db8::7]:80")),
        (b"PROXY UNKNOWN\r\n".to_vec(), ProxyHeader::Local),
        (b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n".to_vec(), ProxyHeader::Local),
        (v2(0x21, 0x11, &v4_body()), client("203.0.113.7:12345")),
        (v2(0x21, 0x11, &with_tlv), client("203.0.113.7:12345")),
        (v2(0x21, 0x21, &v6_body), client("[2001:db8::7]:80")),
        (v2(0x20, 0x00, &[]), ProxyHeader::Local),
        (v2(0x20, 0x11, &v4_body()), ProxyHeader::Local),
        (v2(0x21, 0x00, &[1, 2, 3]), ProxyHeader::Local),
        (v2(0x21, 0x31, &[0; 216]), ProxyHeader::Local),
    ];
    for (header, expected) in cases {
        // What follows may look like more header: CONNECT, or a line feed.
        for behind in [&b"\x10\x0c\x00\x04MQTT"[..], b"\n\n\r\n"] {
            assert_eq!(parsed(&header, behind), Ok(expected), "{}", header.escape_ascii());
        }
    }
}

#[test]
fn malformed_and_oversized_headers_are_refused() {
    use ProxyError::{Malformed, NotAHeader, TooLong};
    let cases: Vec<(Vec<u8>, ProxyError)> = vec![
        (b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c".to_vec(), NotAHeader),
        (b"GET / HTTP/1.1\r\n".to_vec(), NotAHeader),
        (b"PROXX TCP4 1.1.1.1".to_vec(), NotAHeader),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 1 2\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 2001:db8::7 ::1 12345 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 12345 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +5 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 05 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 5 1\r\n".to_vec(), Malformed),
        (b"PROXY UDP4 1.2.3.4 1.2.3.4 5 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 \xff\xfe 1.2.3.4 5 1\r\n".to_vec(), Malformed),
        (b"PROXY TCP4 1.2.3.4\n1.2.3.4 5 1\r\n".to_vec(), Malformed),
        ([&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(), TooLong),
        (v2(0x11, 0x11, &v4_body()), Malformed),
        (v2(0x22, 0x11, &v4_body()), Malformed),
        (v2(0x21, 0x12, &v4_body()), Malformed),
        (v2(0x21, 0x11, &v4_body()[..11]), Malformed),
        (v2(0x21, 0x21, &[0; 35]), Malformed),
        (v2(0x21, 0x11, &[0; 521]), TooLong),
    ];
    for (header, expected) in cases {
        assert_eq!(parsed(&header, b""), Err(expected), "{}", header.escape_ascii());
    }
}

#[test]
fn the_client_behind_a_listed_proxy_is_known_before_anything_else() {
    let echo = Echo::start(&from_loopback(), None);
    for header in [v2(0x21, 0x11, &v4_body()), b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 8883\r\n".to_vec()] {
        let mut client = tcp(echo.address());
        client.write_all(&[&header[..], b"behind"].concat()).unwrap();
        let mut back = [0; 6];
        client.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"behind");
        assert!(matches!(echo.next(), Seen::Addressed(peer) if peer.to_string() == "203.0.113.7:12345"));
        assert_eq!(echo.opened().peer.to_string(), "203.0.113.7:12345");
        drop(client);
        assert!(matches!(echo.next(), Seen::Ended));
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let echo = Echo::start(&from_loopback(), None);
    let mut client = tcp(echo.address());
    for byte in v2(0x21, 0x11, &v4_body()) {
        client.write_all(&[byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(matches!(echo.next(), Seen::Addressed(_)));
    assert!(matches!(echo.next(), Seen::Open(_)));
}

#[test]
fn the_proxys_own_connection_keeps_the_sockets_address() {
    let echo = Echo::start(&from_loopback(), None);
    let mut client = tcp(echo.address());
    client.write_all(&v2(0x20, 0, &[])).unwrap();
    let own = client.local_addr().unwrap().to_string();
    assert!(matches!(echo.next(), Seen::Addressed(peer) if peer.to_string() == own));
}

#[test]
fn a_truncated_header_and_a_missing_one_end_the_connection() {
    let echo = Echo::start(&from_loopback(), None);
    let mut client = tcp(echo.address());
    client.write_all(&v2(0x21, 0x11, &v4_body())[..20]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(echo.failure().contains("end of file"));
    let mut client = tcp(echo.address());
    client.write_all(b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c").unwrap();
    assert!(echo.failure().contains("no PROXY protocol header"));
}

#[test]
fn an_unlisted_address_is_refused_whatever_it_sends() {
    let config = ListenerConfig { proxy_protocol_from: vec!["192.0.2.0/24".parse().unwrap()], ..loopback() };
    let echo = Echo::start(&config, None);
    let mut client = tcp(echo.address());
    let _ = client.write_all(&v2(0x21, 0x11, &v4_body()));
    assert!(echo.failure().contains("listed proxies only"));
    assert_eq!(client.read(&mut [0; 8]).unwrap_or(0), 0);
}

#[test]
fn without_a_list_a_header_is_just_bytes() {
    let echo = Echo::start(&loopback(), None);
    let mut client = tcp(echo.address());
    let header = v2(0x21, 0x11, &v4_body());
    client.write_all(&header).unwrap();
    let mut back = vec![0; header.len()];
    client.read_exact(&mut back).unwrap();
    assert_eq!(back, header);
    assert_eq!(echo.opened().peer.ip().unwrap().to_string(), "127.0.0.1");
}
