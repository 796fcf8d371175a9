//! TCP and Unix sockets: binding, refusing to bind, sharing, and plain bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use bartizan_engine::listener::{Bind, BindProblem, ListenerConfig, PeerAddr, bind};

use crate::echo::{Echo, Seen, WAIT, listening_at, loopback};
use crate::pki::tcp;

fn unix(path: &std::path::Path) -> ListenerConfig {
    ListenerConfig { bind: Bind::Unix { path: path.to_owned(), mode: 0o640 }, ..loopback() }
}

fn echoes(stream: &mut (impl Read + Write), bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

#[test]
fn bytes_and_the_end_pass_through_tcp() {
    let echo = Echo::start(&loopback(), None);
    let mut client = tcp(echo.address());
    echoes(&mut client, b"\x10\x0c hello");
    let opened = echo.opened();
    assert_eq!(opened.kind, "mqtt");
    assert_eq!(opened.peer, PeerAddr::Ip(client.local_addr().unwrap()));
    assert_eq!(opened.identity, None);
    client.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(echo.next(), Seen::Ended));
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_listener_on_any_ipv6_address_takes_ipv4_too_and_shows_it_as_ipv4() {
    let echo = Echo::start(&listening_at("[::]:0"), None);
    let port = echo.address().port();
    let mut four = TcpStream::connect(("127.0.0.1", port)).unwrap();
    echoes(&mut four, b"four");
    assert_eq!(echo.opened().peer.ip().unwrap().to_string(), "127.0.0.1");
    let mut six = TcpStream::connect(("::1", port)).unwrap();
    echoes(&mut six, b"six");
    assert_eq!(echo.opened().peer.ip().unwrap().to_string(), "::1");
}

#[test]
fn a_port_in_use_is_refused_with_its_name_even_when_shards_share_it() {
    for reuse_port in [false, true] {
        let first = bind(&ListenerConfig { reuse_port, ..loopback() }, None).unwrap();
        let address = first.local_addr().unwrap();
        let second = ListenerConfig { reuse_port, ..listening_at(&address.to_string()) };
        let error = bind(&second, None).unwrap_err();
        assert!(matches!(error.problem, BindProblem::InUse), "{error}");
        assert!(error.to_string().starts_with(&format!("listener test on {address}: already in use")));
        drop(first);
        bind(&second, None).unwrap();
    }
}

#[test]
fn an_address_of_another_machine_and_a_mismatch_of_tls_are_refused() {
    let error = bind(&listening_at("192.0.2.1:0"), None).unwrap_err();
    assert!(matches!(error.problem, BindProblem::NoSuchAddress), "{error}");
    let config = ListenerConfig { tls: Some(Default::default()), ..loopback() };
    assert!(matches!(bind(&config, None).unwrap_err().problem, BindProblem::Settings(_)));
}

#[test]
fn every_clone_accepts_whether_the_port_or_the_socket_is_shared() {
    for reuse_port in [false, true] {
        let first = bind(&ListenerConfig { reuse_port, ..loopback() }, None).unwrap();
        let second = first.try_clone().unwrap();
        assert_eq!(first.local_addr(), second.local_addr());
        let address = first.local_addr().unwrap();
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let count = |listener: &bartizan_engine::listener::BoundListener| {
            std::iter::from_fn(|| listener.accept().unwrap()).count()
        };
        let (of_second, of_first) = (count(&second), count(&first));
        assert_eq!(of_first + of_second, clients.len());
        assert!(of_second > 0);
        assert_eq!(of_first > 0, reuse_port, "{of_first} and {of_second}");
    }
}

#[test]
fn a_unix_socket_has_its_mode_and_is_removed_when_the_last_clone_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mqtt.sock");
    let echo = Echo::start(&unix(&path), None);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(WAIT)).unwrap();
    echoes(&mut client, b"local");
    let opened = echo.opened();
    assert_eq!((opened.kind, opened.peer), ("unix", PeerAddr::Unix));
    drop(echo);
    assert!(!path.exists());

    let listener = bind(&unix(&path), None).unwrap();
    let clone = listener.try_clone().unwrap();
    drop(listener);
    assert!(path.exists());
    drop(clone);
    assert!(!path.exists());
}

#[test]
fn only_a_socket_nobody_listens_on_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mqtt.sock");
    let living = bind(&unix(&path), None).unwrap();
    assert!(matches!(bind(&unix(&path), None).unwrap_err().problem, BindProblem::InUse));
    assert!(UnixStream::connect(&path).is_ok());
    drop(living);

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead process leaves its file");
    drop(bind(&unix(&path), None).unwrap());

    std::fs::write(&path, "a file").unwrap();
    assert!(matches!(bind(&unix(&path), None).unwrap_err().problem, BindProblem::NotASocket));
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
}

#[test]
fn a_file_that_replaced_our_socket_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mqtt.sock");
    let listener = bind(&unix(&path), None).unwrap();
    std::fs::write(directory.path().join("other"), "another's").unwrap();
    std::fs::rename(directory.path().join("other"), &path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[test]
fn a_slow_reader_gets_everything_and_bounds_what_is_held() {
    let echo = Echo::start_with_buffer(&loopback(), None, 1000);
    let mut client = tcp(echo.address());
    let sent: Vec<u8> = (0..4_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let mut back = vec![0; sent.len()];
    client.read_exact(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent);
}

#[test]
fn a_system_listener_blocks_ours() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = listening_at(&other.local_addr().unwrap().to_string());
    assert!(matches!(bind(&config, None).unwrap_err().problem, BindProblem::InUse));
}

#[test]
fn a_connection_moves_to_another_thread_and_its_poll() {
    use mio::{Events, Interest, Poll, Token};
    let listener = bind(&loopback(), None).unwrap();
    let mut client = tcp(listener.local_addr().unwrap());
    let (mut transport, _) = std::iter::from_fn(|| Some(listener.accept().unwrap())).flatten().next().unwrap();
    let first = Poll::new().unwrap();
    first.registry().register(&mut transport, Token(1), Interest::READABLE).unwrap();
    assert_eq!(transport.advance().unwrap(), bartizan_engine::listener::Handshake::Done);
    first.registry().deregister(&mut transport).unwrap();
    client.write_all(b"before the move").unwrap();
    std::thread::spawn(move || {
        let mut second = Poll::new().unwrap();
        second.registry().register(&mut transport, Token(2), Interest::READABLE).unwrap();
        let mut events = Events::with_capacity(4);
        // Registering tells of bytes that were there before it, edge-triggered or not.
        second.poll(&mut events, Some(WAIT)).unwrap();
        assert_eq!(events.iter().next().unwrap().token(), Token(2));
        let mut bytes = [0; 64];
        assert_eq!(transport.read(&mut bytes).unwrap(), 15);
        assert_eq!(transport.read(&mut bytes).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    })
    .join()
    .unwrap();
}
