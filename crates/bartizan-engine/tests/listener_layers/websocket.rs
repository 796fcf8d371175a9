//! WebSocket over real sockets: the upgrade, frames, and what MQTT forbids.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use bartizan_engine::listener::{ClientCertificates, ListenerConfig, TlsVersion, WebSocketSettings};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, WebSocket};

use crate::echo::{Echo, Seen, loopback};
use crate::pki::{Ca, connect, tcp, with_tls};

fn listening() -> ListenerConfig {
    let origins = vec!["https://console.example".to_owned()];
    let websocket = WebSocketSettings { origins, frame_bytes_max: 100_000, ..WebSocketSettings::default() };
    ListenerConfig { websocket: Some(websocket), ..loopback() }
}

fn client<S: Read + Write>(stream: S) -> WebSocket<S> {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqttv3.1, mqtt".parse().unwrap());
    let (socket, response) = tungstenite::client(request, stream).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    socket
}

/// A client behind its upgrade, and the server that saw it.
fn open(buffer: usize) -> (Echo, WebSocket<TcpStream>) {
    let echo = Echo::start_with_buffer(&listening(), None, buffer);
    let socket = client(tcp(echo.address()));
    assert_eq!(echo.opened().kind, "ws");
    (echo, socket)
}

fn receive(socket: &mut WebSocket<impl Read + Write>, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        if let Message::Binary(payload) = socket.read().unwrap() {
            bytes.extend_from_slice(&payload);
        }
    }
    bytes
}

fn closed_with(socket: &mut WebSocket<TcpStream>) -> CloseCode {
    loop {
        match socket.read().unwrap() {
            Message::Close(Some(frame)) => return frame.code,
            Message::Close(None) => panic!("closed without a code"),
            _ => {}
        }
    }
}

/// Sends a request and returns the status line of the answer.
fn answer(echo: &Echo, request: &str) -> String {
    let mut stream = tcp(echo.address());
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    let _ = stream.read_to_string(&mut response);
    response.lines().next().unwrap_or_default().to_owned()
}

pub const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, \
                       Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Protocol: mqtt\r\n\r\n";

#[test]
fn bytes_pass_in_binary_frames() {
    let (echo, mut socket) = open(64 * 1024);
    socket.send(Message::binary(&b"\x10\x0c hello"[..])).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(&b"\x10\x0c hello"[..]));
    socket.close(None).unwrap();
    assert!(matches!(echo.next(), Seen::Ended));
    assert!(matches!(socket.read().unwrap(), Message::Close(None)));
}

#[test]
fn wss_carries_the_certificate_and_negotiates_http() {
    let ca = Ca::new("ca");
    let (config, slot) = with_tls(listening(), ClientCertificates::Required, TlsVersion::V1_3, &ca.material());
    let echo = Echo::start(&config, slot);
    let mut client_config = ca.client_config(Some(&ca.client("press-01", 1)));
    client_config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut socket = client(connect(echo.address(), Arc::new(client_config)));
    let opened = echo.opened();
    assert_eq!((opened.kind, opened.version), ("wss", Some("TLS1.3")));
    assert_eq!(opened.identity.unwrap().common_name.as_deref(), Some("press-01"));
    for size in [1, 125, 126, 65_535, 65_536, 99_999] {
        let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        socket.send(Message::binary(sent.clone())).unwrap();
        assert!(receive(&mut socket, size) == sent, "{size}");
    }
}

#[test]
fn all_layers_stack_proxy_header_tls_and_websocket() {
    let ca = Ca::new("ca");
    let proxied = ListenerConfig { proxy_protocol_from: vec!["127.0.0.1/32".parse().unwrap()], ..listening() };
    let (config, slot) = with_tls(proxied, ClientCertificates::Off, TlsVersion::V1_2, &ca.material());
    let echo = Echo::start_with_buffer(&config, slot, 10);
    let mut stream = connect(echo.address(), Arc::new(ca.client_config(None)));
    stream.sock.write_all(b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n").unwrap();
    let mut socket = client(stream);
    assert!(matches!(echo.next(), Seen::Addressed(peer) if peer.to_string() == "[2001:db8::7]:4711"));
    assert_eq!(echo.opened().peer.to_string(), "[2001:db8::7]:4711");
    socket.send(Message::binary(vec![7; 1000])).unwrap();
    assert_eq!(receive(&mut socket, 1000), vec![7; 1000]);
}

#[test]
fn packets_lie_across_and_within_frames() {
    for buffer in [1, 3, 50, 64 * 1024] {
        let (_echo, mut socket) = open(buffer);
        let sent: Vec<u8> = (0..2000_u32).map(|at| (at % 251) as u8).collect();
        let sizes = [0, 1, 2, 125, 126, 127, 300, 0, 1319];
        let (mut rest, last) = (&sent[..], sizes.len() - 1);
        for (at, size) in sizes.into_iter().enumerate() {
            let (payload, behind) = rest.split_at(size);
            let opcode = if at == 0 { Data::Binary } else { Data::Continue };
            let frame = Frame::message(payload.to_vec(), OpCode::Data(opcode), at == last);
            socket.write(Message::Frame(frame)).unwrap();
            // Between the fragments of a message, as RFC 6455 allows.
            socket.write(Message::Ping(vec![at as u8; at].into())).unwrap();
            rest = behind;
        }
        socket.flush().unwrap();
        assert_eq!(receive(&mut socket, sent.len()), sent);
    }
}

#[test]
fn frames_may_come_byte_by_byte() {
    let (_echo, mut socket) = open(64 * 1024);
    let mut raw = Vec::new();
    for payload in [&b"first"[..], &[b'x'; 200]] {
        let mask = [1, 2, 3, 4];
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), mask: Some(mask), ..FrameHeader::default() };
        header.format(payload.len() as u64, &mut raw).unwrap();
        raw.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    socket.get_ref().set_nodelay(true).unwrap();
    for byte in raw {
        socket.get_mut().write_all(&[byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    assert_eq!(receive(&mut socket, 205), [&b"first"[..], &[b'x'; 200]].concat());
}

#[test]
fn a_ping_is_answered_and_a_flood_of_them_stays_bounded() {
    let (_echo, mut socket) = open(64 * 1024);
    socket.send(Message::Ping(b"are you there"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"are you there"[..].into()));
    for at in 0..20_000_u32 {
        socket.send(Message::Ping(at.to_be_bytes().to_vec().into())).unwrap();
    }
    socket.send(Message::binary(&b"end"[..])).unwrap();
    let mut pongs = 0;
    loop {
        match socket.read().unwrap() {
            Message::Pong(_) => pongs += 1,
            Message::Binary(payload) => break assert_eq!(&payload[..], b"end"),
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=20_000).contains(&pongs), "{pongs}");
}

#[test]
fn mqtt_6_0_0_1_a_text_frame_closes_the_connection() {
    let (echo, mut socket) = open(64 * 1024);
    socket.send(Message::text("\u{10}hello")).unwrap();
    assert_eq!(closed_with(&mut socket), CloseCode::Unsupported);
    assert!(echo.failure().contains("text frame"));
}

#[test]
fn frames_against_rfc_6455_close_the_connection() {
    let unmasked: &[u8] = &[0x82, 0x01, 0x00];
    let reserved_bit: &[u8] = &[0xc2, 0x81, 0, 0, 0, 0, 0];
    let reserved_opcode: &[u8] = &[0x83, 0x80, 0, 0, 0, 0];
    let fragmented_ping: &[u8] = &[0x09, 0x80, 0, 0, 0, 0];
    let long_ping: &[u8] = &[0x89, 0xfe, 0, 126, 0, 0, 0, 0];
    let stray_continuation: &[u8] = &[0x80, 0x80, 0, 0, 0, 0];
    let message_in_message: &[u8] = &[0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0];
    for raw in
        [unmasked, reserved_bit, reserved_opcode, fragmented_ping, long_ping, stray_continuation, message_in_message]
    {
        let (echo, mut socket) = open(64 * 1024);
        socket.get_mut().write_all(raw).unwrap();
        assert_eq!(closed_with(&mut socket), CloseCode::Protocol, "{raw:x?}");
        assert!(echo.failure().contains("RFC 6455"));
    }
}

#[test]
fn a_frame_longer_than_allowed_is_refused_by_its_header() {
    let (echo, mut socket) = open(64 * 1024);
    socket.get_mut().write_all(&[0x82, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
    assert_eq!(closed_with(&mut socket), CloseCode::Size);
    assert!(echo.failure().contains("longer than allowed"));
}

#[test]
fn the_sample_of_rfc_6455_is_upgraded_byte_by_byte() {
    let echo = Echo::start(&listening(), None);
    let mut stream = tcp(echo.address());
    stream.set_nodelay(true).unwrap();
    for byte in REQUEST.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut response = [0; 512];
    let count = stream.read(&mut response).unwrap();
    let text = std::str::from_utf8(&response[..count]).unwrap();
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert!(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{text}");
    echo.opened();
}

#[test]
fn mqtt_6_0_0_3_the_sub_protocol_mqtt_is_required() {
    let echo = Echo::start(&listening(), None);
    for offered in ["", "Sec-WebSocket-Protocol: mqttv3.1\r\n", "Sec-WebSocket-Protocol: MQTT\r\n"] {
        let request = REQUEST.replace("Sec-WebSocket-Protocol: mqtt\r\n", offered);
        assert_eq!(answer(&echo, &request), "HTTP/1.1 400 Sub-protocol mqtt required");
        assert!(echo.failure().contains("Sub-protocol"));
    }
}

#[test]
fn a_browser_comes_only_from_a_listed_origin() {
    let echo = Echo::start(&listening(), None);
    let from = |origin: &str| REQUEST.replace("Host:", &format!("Origin: {origin}\r\nHost:"));
    for origin in ["https://evil.example", "null", "", "https://console.example.evil", "http://console.example"] {
        assert_eq!(answer(&echo, &from(origin)), "HTTP/1.1 403 Origin Not Allowed", "{origin}");
        echo.failure();
    }
    let twice = from("https://console.example\r\nOrigin: https://evil.example");
    assert_eq!(answer(&echo, &twice), "HTTP/1.1 400 Bad Request");
    echo.failure();
    let mut stream = tcp(echo.address());
    stream.write_all(from("https://console.example").as_bytes()).unwrap();
    echo.opened();
}

#[test]
fn a_client_that_claims_the_address_it_connects_to_is_let_in_unless_a_name_server_could_have_made_it_so() {
    let echo = Echo::start(&listening(), None);
    let request = |origin: &str, host: &str| {
        REQUEST.replace("Host: localhost\r\n", &format!("Origin: {origin}\r\nHost: {host}\r\n"))
    };
    let own = ["127.0.0.1:8443", "[::1]:8443", "[::1]", "localhost", "LOCALHOST:8443"].map(|host| ("http", host));
    let mut streams = Vec::new();
    for (scheme, host) in own.into_iter().chain([("https", "broker.example:8443"), ("HTTPS", "broker.example")]) {
        let mut stream = tcp(echo.address());
        stream.write_all(request(&format!("{scheme}://{host}"), host).as_bytes()).unwrap();
        echo.opened();
        streams.push(stream);
    }
    for (origin, host) in [
        ("http://rebound.example:8080", "rebound.example:8080"),
        ("http://127.0.0.1.example", "127.0.0.1.example"),
        ("https://broker.example:8443", "broker.example:8444"),
        ("https://broker.example", "broker.example.evil"),
        ("https://", "localhost"),
        ("http://localhost:8080", "localhost:8443"),
        ("ws://localhost", "localhost"),
    ] {
        assert_eq!(answer(&echo, &request(origin, host)), "HTTP/1.1 403 Origin Not Allowed", "{origin}");
        echo.failure();
    }
}

#[test]
fn requests_that_are_no_upgrade_get_a_short_answer() {
    let echo = Echo::start(&listening(), None);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        (REQUEST.replace("/mqtt", "/other"), "404 Not Found"),
        (REQUEST.replace("GET", "POST"), "405 Method Not Allowed"),
        (REQUEST.replace("Version: 13", "Version: 8"), "426 Upgrade Required"),
        (REQUEST.replace("Upgrade: websocket\r\n", ""), "400 Bad Request"),
        (REQUEST.replace("keep-alive, Upgrade", "keep-alive"), "400 Bad Request"),
        (REQUEST.replace("Host: localhost\r\n", ""), "400 Bad Request"),
        (REQUEST.replace("HTTP/1.1", "HTTP/1.0"), "400 Bad Request"),
        (REQUEST.replace(key, ""), "400 Bad Request"),
        (REQUEST.replace(key, "Sec-WebSocket-Key: c2hvcnQ=\r\n"), "400 Bad Request"),
        (REQUEST.replace(key, &key.repeat(2)), "400 Bad Request"),
        (REQUEST.replace("Host:", "Content-Length: 5\r\nHost:"), "400 Bad Request"),
        (REQUEST.replace("Host:", "Transfer-Encoding: chunked\r\nHost:"), "400 Bad Request"),
        (format!("{REQUEST}\x02\x00"), "400 Bad Request"),
        ("\x10\x0c\x00\x04MQTT\r\n\r\n".to_owned(), "400 Bad Request"),
        (REQUEST.replace("Host:", &format!("Cookie: {}\r\nHost:", "x".repeat(9000))), "431 "),
        (REQUEST.replace("Host:", &format!("{}Host:", "A: b\r\n".repeat(70))), "431 "),
    ];
    for (request, status) in cases {
        let answer = answer(&echo, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer} instead of {status}");
        echo.failure();
    }
}

#[test]
fn a_request_that_never_ends_is_bounded_and_an_early_end_is_no_panic() {
    let echo = Echo::start(&listening(), None);
    let mut stream = tcp(echo.address());
    let endless = std::iter::repeat_n(b'a', 100_000).collect::<Vec<_>>();
    let _ = stream.write_all(&endless);
    assert!(echo.failure().contains("431"));
    let mut stream = tcp(echo.address());
    stream.write_all(&REQUEST.as_bytes()[..100]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(echo.failure().contains("end of file"));
}
