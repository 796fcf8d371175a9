//! TLS over real sockets: identities, versions, revocation, resumption, replacement in place.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use bartizan_engine::listener::{ClientCertificates, TlsVersion};
use bartizan_engine::tls::TlsMaterial;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};

use crate::echo::{Echo, Seen, loopback};
use crate::pki::{Ca, TlsClient, connect, tcp, with_tls};
use ClientCertificates::{Off, Optional, Required};

fn start(certificates: ClientCertificates, material: &TlsMaterial) -> Echo {
    start_with_buffer(certificates, material, 64 * 1024)
}

fn start_with_buffer(certificates: ClientCertificates, material: &TlsMaterial, buffer: usize) -> Echo {
    let (config, slot) = with_tls(loopback(), certificates, TlsVersion::V1_2, material);
    Echo::start_with_buffer(&config, slot, buffer)
}

fn echoes(client: &mut TlsClient, bytes: &[u8]) -> std::io::Result<()> {
    client.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    client.read_exact(&mut back)?;
    assert!(back == bytes);
    Ok(())
}

/// A client whose handshake fails sees it at the latest when it reads (TLS 1.3).
fn is_refused(echo: &Echo, config: ClientConfig) -> String {
    let mut client = connect(echo.address(), Arc::new(config));
    let failed = echoes(&mut client, b"hello").unwrap_err();
    let _ = echo.failure();
    failed.to_string()
}

fn replace(echo: &Echo, material: &TlsMaterial) {
    let (config, _) = with_tls(loopback(), Required, TlsVersion::V1_2, material);
    echo.slot.as_ref().unwrap().replace(config.tls_context(material).unwrap().unwrap());
}

/// A client that remembers its session.
fn remembering(ca: &Ca, serial: u64) -> Arc<ClientConfig> {
    let mut config = ca.client_config(Some(&ca.client("press-01", serial)));
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

#[test]
fn a_client_certificate_becomes_an_identity() {
    let ca = Ca::new("plant ca");
    let echo = start(Required, &ca.material());
    let leaf = ca.client("press-01", 0x0abc);
    let mut client = connect(echo.address(), Arc::new(ca.client_config(Some(&leaf))));
    echoes(&mut client, b"hello").unwrap();
    let opened = echo.opened();
    assert_eq!((opened.kind, opened.version), ("mqtts", Some("TLS1.3")));
    assert!(opened.cipher.unwrap().starts_with("TLS13_"), "{:?}", opened.cipher);
    let identity = opened.identity.unwrap();
    assert_eq!(identity.common_name.as_deref(), Some("press-01"));
    assert_eq!(identity.san_dns, ["press-01.example"]);
    assert_eq!(identity.san_uri, ["urn:press-01"]);
    assert_eq!(identity.san_email, ["press-01@example"]);
    assert_eq!(identity.serial_hex, "abc");
    assert_eq!(identity.issuer, "CN=plant ca");
    assert_eq!(identity.not_after_unix_s, 3_786_912_000);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf.certificate.der());
    assert_eq!(identity.fingerprint_sha256, digest.as_ref());
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert!(matches!(echo.next(), Seen::Ended));
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "closed with close_notify");
}

#[test]
fn what_a_client_sent_is_handed_on_where_the_listener_asks_for_it_alone() {
    let ca = Ca::new("ca");
    let leaf = ca.client("press-01", 1);
    for asks in [false, true] {
        let (mut config, slot) = with_tls(loopback(), Required, TlsVersion::V1_2, &ca.material());
        config.tls.as_mut().unwrap().keeps_chain = asks;
        let echo = Echo::start(&config, slot);
        echoes(&mut connect(echo.address(), Arc::new(ca.client_config(Some(&leaf)))), b"hello").unwrap();
        let sent = asks.then(|| vec![Box::from(leaf.certificate.der().as_ref())]);
        assert_eq!(echo.opened().chain, sent);
    }
}

#[test]
fn certificates_are_required_optional_or_never_asked_for() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let none = || ca.client_config(None);
    let foreign = || ca.client_config(Some(&other.client("press-01", 1)));

    let echo = start(Required, &ca.material());
    assert!(is_refused(&echo, none()).contains("CertificateRequired"));
    is_refused(&echo, foreign());

    let echo = start(Optional, &ca.material());
    echoes(&mut connect(echo.address(), Arc::new(none())), b"hello").unwrap();
    assert_eq!(echo.opened().identity, None);
    assert!(matches!(echo.next(), Seen::Ended));
    is_refused(&echo, foreign());

    let echo = start(Off, &ca.material());
    echoes(&mut connect(echo.address(), Arc::new(foreign())), b"hello").unwrap();
    assert_eq!(echo.opened().identity, None);
}

#[test]
fn the_oldest_version_is_a_setting() {
    let ca = Ca::new("ca");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new({
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject;
        let pem = ca.material().client_roots_pem;
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        roots
    });
    let old = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth()
    };
    let echo = start(Off, &ca.material());
    echoes(&mut connect(echo.address(), Arc::new(old())), b"hello").unwrap();
    let opened = echo.opened();
    assert_eq!((opened.version, opened.channel_binding), (Some("TLS1.2"), None));
    let (config, slot) = with_tls(loopback(), Off, TlsVersion::V1_3, &ca.material());
    let echo = Echo::start(&config, slot);
    assert!(is_refused(&echo, old()).contains("ProtocolVersion"));
}

#[test]
fn both_ends_of_a_connection_know_its_channel_binding_and_no_other_connection_has_it() {
    let ca = Ca::new("ca");
    let echo = start(Off, &ca.material());
    let exported = |client: &TlsClient| {
        client.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap()
    };
    let mut earlier = None;
    for _ in 0..2 {
        let mut client = connect(echo.address(), Arc::new(ca.client_config(None)));
        echoes(&mut client, b"hello").unwrap();
        let bound = echo.opened().channel_binding;
        assert_eq!(bound, Some(exported(&client)));
        assert_ne!(bound, earlier);
        earlier = bound;
        drop(client);
        echo.next();
    }
}

#[test]
fn alpn_mqtt_is_agreed_none_is_fine_and_another_is_refused() {
    let ca = Ca::new("ca");
    let echo = start(Off, &ca.material());
    for (offered, agreed) in [(vec![], None), (vec![b"x".to_vec(), b"mqtt".to_vec()], Some(&b"mqtt"[..]))] {
        let mut config = ca.client_config(None);
        config.alpn_protocols = offered;
        let mut client = connect(echo.address(), Arc::new(config));
        echoes(&mut client, b"hello").unwrap();
        assert_eq!(client.conn.alpn_protocol(), agreed);
        echo.opened();
        drop(client);
        echo.next();
    }
    let mut config = ca.client_config(None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(is_refused(&echo, config).contains("NoApplicationProtocol"));
}

#[test]
fn a_crl_revokes_and_speaks_for_everybody() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let crls = vec![ca.crl(&[7], 2090).der().to_vec()];
    let echo = start(Required, &TlsMaterial { crls, ..ca.material() });
    let revoked = is_refused(&echo, ca.client_config(Some(&ca.client("press-07", 7))));
    assert!(revoked.contains("CertificateRevoked"), "{revoked}");
    let good = ca.client_config(Some(&ca.client("press-08", 8)));
    echoes(&mut connect(echo.address(), Arc::new(good)), b"hello").unwrap();

    // A CRL of another CA says nothing about this one's clients: unknown is refused.
    let crls = vec![other.crl(&[], 2090).der().to_vec()];
    let echo = start(Required, &TlsMaterial { crls, ..ca.material() });
    is_refused(&echo, ca.client_config(Some(&ca.client("press-08", 8))));
}

#[test]
fn a_session_is_resumed_with_its_identity() {
    let ca = Ca::new("ca");
    let echo = start(Required, &ca.material());
    let config = remembering(&ca, 7);
    for resumed in [false, true, true] {
        let mut client = connect(echo.address(), Arc::clone(&config));
        echoes(&mut client, b"hello").unwrap();
        assert_eq!(client.conn.handshake_kind() == Some(HandshakeKind::Resumed), resumed);
        let opened = echo.opened();
        assert_eq!(opened.resumed, resumed);
        assert_eq!(opened.identity.unwrap().serial_hex, "7");
        drop(client);
        echo.next();
    }
}

#[test]
fn a_resumption_after_replacement_runs_the_verifier_again() {
    let ca = Ca::new("ca");
    let echo = start(Required, &ca.material());
    let config = remembering(&ca, 7);
    echoes(&mut connect(echo.address(), Arc::clone(&config)), b"hello").unwrap();
    echo.opened();
    echo.next();

    replace(&echo, &ca.material());
    let mut client = connect(echo.address(), Arc::clone(&config));
    echoes(&mut client, b"hello").unwrap();
    assert!(!echo.opened().resumed);
    drop(client);
    echo.next();

    let crls = vec![ca.crl(&[7], 2090).der().to_vec()];
    replace(&echo, &TlsMaterial { crls, ..ca.material() });
    let mut client = connect(echo.address(), config);
    let refused = echoes(&mut client, b"hello").unwrap_err().to_string();
    assert!(refused.contains("CertificateRevoked"), "{refused}");
}

#[test]
fn replacement_keeps_live_connections_and_serves_the_new_certificate() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let echo = start(Required, &old.material());
    let mut live = connect(echo.address(), Arc::new(old.client_config(Some(&old.client("a", 1)))));
    echoes(&mut live, b"before").unwrap();
    echo.opened();
    replace(&echo, &new.material());
    echoes(&mut live, b"after").unwrap();
    is_refused(&echo, old.client_config(Some(&old.client("a", 1))));
    let mut client = connect(echo.address(), Arc::new(new.client_config(Some(&new.client("b", 2)))));
    echoes(&mut client, b"hello").unwrap();
    echoes(&mut live, b"still").unwrap();
}

#[test]
fn unusable_material_leaves_the_slot_as_it_is() {
    let ca = Ca::new("ca");
    let echo = start(Required, &ca.material());
    let (config, _) = with_tls(loopback(), Required, TlsVersion::V1_2, &ca.material());
    let crls = vec![ca.crl(&[], 2025).der().to_vec()];
    assert!(config.tls_context(&TlsMaterial { crls, ..ca.material() }).is_err());
    let mut client = connect(echo.address(), Arc::new(ca.client_config(Some(&ca.client("a", 1)))));
    echoes(&mut client, b"hello").unwrap();
}

/// Sends what the client wants to send one byte at a time.
struct Dribble(std::net::TcpStream);

impl Write for Dribble {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        std::thread::yield_now();
        self.0.write(&buf[..buf.len().min(1)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Read for Dribble {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let ca = Ca::new("ca");
    let echo = start(Required, &ca.material());
    let config = Arc::new(ca.client_config(Some(&ca.client("slow", 1))));
    let fast = connect(echo.address(), config);
    fast.sock.set_nodelay(true).unwrap();
    let mut slow = rustls::StreamOwned::new(fast.conn, Dribble(fast.sock));
    slow.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    slow.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

#[test]
fn large_bytes_pass_with_small_and_large_buffers_at_the_server() {
    let ca = Ca::new("ca");
    let sent: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    for buffer in [700, 16 * 1024, 256 * 1024] {
        let echo = start_with_buffer(Off, &ca.material(), buffer);
        let mut client = connect(echo.address(), Arc::new(ca.client_config(None)));
        for part in sent.chunks(100_000) {
            echoes(&mut client, part).unwrap();
        }
    }
}

#[test]
fn bytes_that_come_with_the_end_of_the_handshake_are_read() {
    let ca = Ca::new("ca");
    let echo = start(Off, &ca.material());
    // rustls sends its Finished and the first write in one flight.
    let mut client = connect(echo.address(), Arc::new(ca.client_config(None)));
    client.write_all(b"early").unwrap();
    client.sock.shutdown(Shutdown::Write).unwrap();
    let mut back = [0; 5];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"early");
    echo.opened();
    assert!(matches!(echo.next(), Seen::Ended));
}

#[test]
fn plaintext_and_garbage_fail_the_handshake_only_of_their_sender() {
    let ca = Ca::new("ca");
    let echo = start(Off, &ca.material());
    let mut good = connect(echo.address(), Arc::new(ca.client_config(None)));
    echoes(&mut good, b"hello").unwrap();
    echo.opened();
    for garbage in [&b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff]] {
        let mut client = tcp(echo.address());
        client.write_all(garbage).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let _ = client.read(&mut [0; 64]);
        echo.failure();
    }
    echoes(&mut good, b"unharmed").unwrap();
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    let ca = Ca::new("ca");
    let echo = start(Off, &ca.material());
    let mut client = connect(echo.address(), Arc::new(ca.client_config(None)));
    echoes(&mut client, b"hello").unwrap();
    echo.opened();
    let mut record = Vec::new();
    client.conn.writer().write_all(b"world").unwrap();
    client.conn.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    client.sock.write_all(&record).unwrap();
    assert!(echo.failure().contains("decrypt"));
}
