//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677) from the client's side, as enhanced authentication (4.12).
//!
//! What takes a client long is PBKDF2. It depends on salt and iterations alone, so its keys are made once for a run:
//! what is measured is the broker, not this.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::failure::Failure;
use crate::target::Login;

/// No channel binding, and nobody acts for somebody else (RFC 5802, 7).
const HEADER: &str = "n,,";
const NONCE_BYTES: usize = 18;
/// More rounds of PBKDF2 than any server asks for: this thread would be busy for seconds.
const ITERATIONS_MAX: u32 = 1_000_000;

/// A hash to do it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677.
    Sha256,
    /// The same with a longer hash.
    Sha512,
}

impl Mechanism {
    /// Both.
    pub const ALL: [Mechanism; 2] = [Mechanism::Sha256, Mechanism::Sha512];

    /// The Authentication Method.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Sha256 => "SCRAM-SHA-256",
            Mechanism::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn hash(self) -> &'static digest::Algorithm {
        match self {
            Mechanism::Sha256 => &digest::SHA256,
            Mechanism::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Mechanism::Sha256 => hmac::HMAC_SHA256,
            Mechanism::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Mechanism::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Mechanism::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Who proves it, for all connections of a run.
pub struct Scram {
    mechanism: Mechanism,
    login: Login,
    /// Those of the salt and iterations that the broker sent last.
    keys: Mutex<Option<Arc<Keys>>>,
}

impl fmt::Debug for Scram {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("mechanism", &self.mechanism).field("login", &self.login).finish_non_exhaustive()
    }
}

/// What a password is with one salt and so many iterations.
struct Keys {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    client: hmac::Tag,
    stored: hmac::Key,
    server: hmac::Key,
}

impl Scram {
    /// With this name and password, both of ASCII: then they are what RFC 4013 prepares them to.
    pub fn new(mechanism: Mechanism, login: Login) -> Result<Scram, Failure> {
        let is_plain = |octets: &[u8]| octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
        if !is_plain(login.user.as_bytes()) || !is_plain(&login.password) || login.password.is_empty() {
            return Err(Failure::Usage("--auth-method takes a User Name and a password of ASCII".into()));
        }
        Ok(Scram { mechanism, login, keys: Mutex::new(None) })
    }

    /// The Authentication Method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.mechanism.name()
    }

    fn keys(&self, salt: &[u8], iterations: NonZeroU32) -> Arc<Keys> {
        let mut kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = kept.as_ref().filter(|keys| keys.salt == salt && keys.iterations == iterations) {
            return Arc::clone(keys);
        }
        let made = Arc::new(Keys::of(self.mechanism, &self.login.password, salt, iterations));
        *kept = Some(Arc::clone(&made));
        made
    }
}

impl Keys {
    fn of(mechanism: Mechanism, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Keys {
        let (hash, hmac) = (mechanism.hash(), mechanism.hmac());
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(mechanism.pbkdf2(), iterations, salt, password, &mut salted);
        let salted = hmac::Key::new(hmac, &salted);
        let client = hmac::sign(&salted, b"Client Key");
        let stored = digest::digest(hash, client.as_ref());
        Keys {
            salt: salt.to_vec(),
            iterations,
            stored: hmac::Key::new(hmac, stored.as_ref()),
            server: hmac::Key::new(hmac, hmac::sign(&salted, b"Server Key").as_ref()),
            client,
        }
    }
}

/// One connection's exchange.
#[derive(Debug)]
pub struct Exchange {
    scram: Arc<Scram>,
    nonce: String,
    /// What proves the broker, once the client has sent its own proof.
    expected: Option<String>,
}

impl Exchange {
    /// With a nonce of its own.
    pub fn begin(scram: Arc<Scram>) -> Result<Exchange, Failure> {
        let mut nonce = [0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| Failure::Usage("there is no entropy for a nonce".into()))?;
        Ok(Exchange { scram, nonce: BASE64_STANDARD.encode(nonce), expected: None })
    }

    /// The Authentication Method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.scram.method()
    }

    /// What CONNECT carries.
    #[must_use]
    pub fn first(&self) -> String {
        format!("{HEADER}{}", self.bare())
    }

    fn bare(&self) -> String {
        let name = self.scram.login.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={name},r={}", self.nonce)
    }

    /// What AUTH carries, in answer to the broker's.
    pub fn last(&mut self, said: &[u8]) -> Result<String, Failure> {
        let wrong = |what: &str| Failure::Broker(format!("the broker's {} is not {what}", self.method()));
        let said = std::str::from_utf8(said).map_err(|_| wrong("text"))?;
        let [nonce, salt, iterations] = fields(said).ok_or_else(|| wrong("r=...,s=...,i=..."))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(wrong("an answer to this client's nonce"));
        }
        let salt = BASE64_STANDARD.decode(salt).map_err(|_| wrong("salted in base64"))?;
        let iterations = iterations.parse().ok().filter(|count: &NonZeroU32| count.get() <= ITERATIONS_MAX);
        let keys = self.scram.keys(&salt, iterations.ok_or_else(|| wrong("of a number of iterations"))?);
        let unproved = format!("c={},r={nonce}", BASE64_STANDARD.encode(HEADER));
        let exchange = format!("{},{said},{unproved}", self.bare());
        let signature = hmac::sign(&keys.stored, exchange.as_bytes());
        let proof: Vec<u8> =
            keys.client.as_ref().iter().zip(signature.as_ref()).map(|(key, signed)| key ^ signed).collect();
        self.expected = Some(format!("v={}", BASE64_STANDARD.encode(hmac::sign(&keys.server, exchange.as_bytes()))));
        Ok(format!("{unproved},p={}", BASE64_STANDARD.encode(proof)))
    }

    /// Does what CONNACK carries prove that the broker knows the password's keys?
    #[must_use]
    pub fn is_proved_by(&self, said: Option<&[u8]>) -> bool {
        self.expected.as_ref().is_some_and(|expected| said == Some(expected.as_bytes()))
    }
}

/// Nonce, salt and iterations of a server-first-message; what follows them is of no concern.
fn fields(said: &str) -> Option<[&str; 3]> {
    let mut parts = said.split(',');
    Some([parts.next()?.strip_prefix("r=")?, parts.next()?.strip_prefix("s=")?, parts.next()?.strip_prefix("i=")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, 3.
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn scram() -> Arc<Scram> {
        let login = Login { user: "user".into(), password: b"pencil".to_vec() };
        Arc::new(Scram::new(Mechanism::Sha256, login).unwrap())
    }

    fn exchange(scram: &Arc<Scram>) -> Exchange {
        Exchange { nonce: "rOprNGfwEbeRWgbNEkqO".into(), ..Exchange::begin(Arc::clone(scram)).unwrap() }
    }

    #[test]
    fn rfc_7677_3_the_example_is_spoken_to_the_letter() {
        let mut exchange = exchange(&scram());
        assert_eq!(exchange.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            exchange.last(SERVER_FIRST.as_bytes()).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(exchange.is_proved_by(Some(SERVER_FINAL)));
    }

    #[test]
    fn a_broker_that_does_not_prove_itself_is_not_believed() {
        let mut exchange = exchange(&scram());
        assert!(!exchange.is_proved_by(Some(SERVER_FINAL)), "it let the client in without asking for its proof");
        exchange.last(SERVER_FIRST.as_bytes()).unwrap();
        assert!(!exchange.is_proved_by(None));
        assert!(!exchange.is_proved_by(Some(b"v=AAAA")));
    }

    #[test]
    fn keys_are_made_once_for_a_salt() {
        let scram = scram();
        let four = NonZeroU32::new(4096).unwrap();
        let first = scram.keys(b"salt", four);
        assert!(Arc::ptr_eq(&first, &scram.keys(b"salt", four)));
        assert!(!Arc::ptr_eq(&first, &scram.keys(b"other", four)));
        assert!(!Arc::ptr_eq(&scram.keys(b"other", four), &scram.keys(b"other", NonZeroU32::MIN)));
    }

    #[test]
    fn an_answer_to_another_nonce_and_one_that_is_no_answer_end_the_run() {
        let scram = scram();
        for said in [
            "r=else,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO%,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO%,s=W22Z,i=0",
            "r=rOprNGfwEbeRWgbNEkqO%,s=W22Z,i=1000001",
            "r=rOprNGfwEbeRWgbNEkqO%,i=4096",
            "",
        ] {
            assert_eq!(exchange(&scram).last(said.as_bytes()).unwrap_err().exit_code(), 1, "{said}");
        }
    }

    #[test]
    fn each_exchange_has_a_nonce_of_its_own_and_a_name_is_escaped() {
        let login = Login { user: "a,b=c".into(), password: b"x".to_vec() };
        let scram = Arc::new(Scram::new(Mechanism::Sha512, login).unwrap());
        let (one, other) = (Exchange::begin(Arc::clone(&scram)).unwrap(), Exchange::begin(scram).unwrap());
        assert_ne!(one.first(), other.first());
        assert!(one.first().starts_with("n,,n=a=2Cb=3Dc,r="), "{}", one.first());
    }

    #[test]
    fn a_password_that_would_have_to_be_prepared_is_refused_and_none_is_shown() {
        for password in ["", "p\u{e9}ncil", "a\u{7f}"] {
            let login = Login { user: "user".into(), password: password.as_bytes().to_vec() };
            assert_eq!(Scram::new(Mechanism::Sha256, login).unwrap_err().exit_code(), 2);
        }
        let shown = format!("{:?}", exchange(&scram()));
        assert!(shown.contains("user") && !shown.contains("pencil") && !shown.contains("112"), "{shown}");
    }
}
