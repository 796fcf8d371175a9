//! Credentials that were found good a short while ago, so that a storm of reconnects does not cost
//! a password hash, or a way through Python, for each of its clients.
//!
//! Only successes are kept, and of a credential nothing but an HMAC under a key that this process
//! draws and never shows. What counts is all that the authenticators saw: Client Identifier, User
//! Name, Password, certificate, listener, address. Everything is forgotten whenever policy,
//! identities or certificates change, and so is an answer to a question asked before that.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use bartizan_core::message::Time;
use bartizan_core::server::AuthRequest;
use bartizan_core::server::connect::Verdict;
use bartizan_core::session::Principal;

/// Successes in each of the two halves; the older half goes when the younger one is full.
const HALF: usize = 32_768;

/// A credential, as this process knows it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 32]);

/// Draws marks; needs no lock.
pub struct Marker(Option<hmac::Key>);

impl Default for Marker {
    /// Without entropy there is no key, and then nothing is remembered.
    fn default() -> Marker {
        Marker(hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok())
    }
}

impl Marker {
    /// The mark of a CONNECT; none where its answer holds for this one time only: an exchange by
    /// AUTH, a Client Identifier that is to be assigned, no credential at all.
    #[must_use]
    pub fn mark(&self, request: &AuthRequest) -> Option<Mark> {
        let has_credential = request.password.is_some() || request.certificate.is_some();
        if request.again || request.auth_method.is_some() || request.client_id.is_empty() || !has_credential {
            return None;
        }
        let mut context = hmac::Context::with_key(self.0.as_ref()?);
        let fingerprint = request.certificate.as_ref().map(|certificate| certificate.fingerprint_sha256.as_bytes());
        for field in [
            Some(request.client_id.as_bytes()),
            request.user_name.as_deref().map(str::as_bytes),
            request.password.as_ref().map(|password| password.expose()),
            fingerprint,
            Some(request.listener.as_bytes()),
            Some(request.address.as_bytes()),
        ] {
            // Its length before each one, so that no two rows of fields run into the same octets.
            let length = field.map_or(u64::MAX, |octets| octets.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(field.unwrap_or_default());
        }
        let tag = context.sign();
        Some(Mark(tag.as_ref().try_into().ok()?))
    }
}

struct Success {
    principal: Principal,
    ends_at: Option<Time>,
    until: Time,
}

/// What is remembered.
#[derive(Default)]
pub struct Successes {
    young: HashMap<Mark, Success>,
    old: HashMap<Mark, Success>,
    /// How often everything was forgotten.
    era: u64,
    /// How often one was recalled.
    pub recalled: u64,
}

impl Successes {
    /// The era a question is asked in: its answer is remembered in the same one only.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.era
    }

    /// The verdict on a credential that was found good, while that counts.
    pub fn recall(&mut self, mark: &Mark, now: Time) -> Option<Verdict> {
        let found = self.young.get(mark).or_else(|| self.old.get(mark))?;
        if found.until <= now {
            return None;
        }
        let (principal, ends_at) = (found.principal.clone(), found.ends_at);
        self.recalled += 1;
        Some(Verdict::Allow { principal, client_id: None, ends_at, auth_data: None })
    }

    /// Keeps a verdict for so many seconds, and never longer than the credential itself lasts.
    pub fn keep(&mut self, mark: Mark, era: u64, verdict: &Verdict, for_s: u32, now: Time) {
        let Verdict::Allow { principal, client_id: None, auth_data: None, ends_at } = verdict else { return };
        let wanted = now.plus_ms(u64::from(for_s) * 1000);
        let until = ends_at.map_or(wanted, |end| end.min(wanted));
        if era != self.era || until <= now {
            return;
        }
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(mark, Success { principal: principal.clone(), ends_at: *ends_at, until });
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.era += 1;
        self.young = HashMap::new();
        self.old = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_core::session::auth_exchange::Secret;
    use bartizan_core::session::{ConnectionKey, PeerIdentity};
    use bartizan_core::wire::{ReasonCode, Version};

    use super::*;

    fn request() -> AuthRequest {
        AuthRequest {
            connection: ConnectionKey::default(),
            again: false,
            client_id: "press-01".to_owned(),
            user_name: Some("press-01".to_owned()),
            password: Some(Secret::new(b"correct")),
            auth_method: None,
            auth_data: None,
            state: None,
            certificate: None,
            channel_binding: None,
            listener: Arc::from("mqtts"),
            anonymous_allowed: false,
            address: Arc::from("192.0.2.1"),
            version: Version::V5,
        }
    }

    /// Whom a mark lets in.
    fn recalled(successes: &mut Successes, mark: &Mark, now: Time) -> Option<(Principal, Option<Time>)> {
        match successes.recall(mark, now)? {
            Verdict::Allow { principal, client_id: None, ends_at, auth_data: None } => Some((principal, ends_at)),
            other => panic!("{other:?}"),
        }
    }

    fn press() -> Principal {
        Principal {
            id: Arc::from("press-01"),
            roles: Vec::new(),
            attributes: Vec::new(),
            method: Arc::from("password"),
            managed: true,
            strength: bartizan_core::policy::Strength::default(),
            narrowed_to: None,
        }
    }

    fn allow(ends_at: Option<Time>) -> Verdict {
        Verdict::Allow { principal: press(), client_id: None, ends_at, auth_data: None }
    }

    #[test]
    fn a_credential_is_known_again_by_all_that_the_authenticators_saw_and_by_nothing_less() {
        let marker = Marker::default();
        let mark = marker.mark(&request()).unwrap();
        assert!(marker.mark(&request()) == Some(mark));
        let certificate = PeerIdentity { fingerprint_sha256: "ab".to_owned(), ..PeerIdentity::default() };
        let others = [
            AuthRequest { client_id: "press-02".to_owned(), ..request() },
            AuthRequest { user_name: None, ..request() },
            AuthRequest { user_name: Some(String::new()), ..request() },
            AuthRequest { password: Some(Secret::new(b"wrong")), ..request() },
            AuthRequest { listener: Arc::from("wss"), ..request() },
            AuthRequest { address: Arc::from("192.0.2.2"), ..request() },
            AuthRequest { certificate: Some(Arc::new(certificate)), ..request() },
            // The same octets, divided otherwise.
            AuthRequest { client_id: "press-01p".to_owned(), user_name: Some("ress-01".to_owned()), ..request() },
        ];
        for other in others {
            assert!(marker.mark(&other).is_some_and(|found| found != mark), "{other:?}");
        }
        assert!(Marker::default().mark(&request()) != Some(mark), "another process has another key");
    }

    #[test]
    fn what_holds_for_one_time_only_has_no_mark() {
        let marker = Marker::default();
        for once in [
            AuthRequest { again: true, ..request() },
            AuthRequest { auth_method: Some(Arc::from("SCRAM-SHA-256")), ..request() },
            AuthRequest { client_id: String::new(), ..request() },
            AuthRequest { password: None, ..request() },
        ] {
            assert!(marker.mark(&once).is_none(), "{once:?}");
        }
    }

    #[test]
    fn a_success_counts_for_its_time_and_not_longer_than_its_credential() {
        let (mark, mut successes) = (Mark([1; 32]), Successes::default());
        successes.keep(mark, 0, &allow(None), 10, Time(1_000));
        assert_eq!(recalled(&mut successes, &mark, Time(10_999)), Some((press(), None)));
        assert_eq!(recalled(&mut successes, &mark, Time(11_000)), None);
        successes.keep(mark, 0, &allow(Some(Time(3_000))), 10, Time(1_000));
        assert_eq!(recalled(&mut successes, &mark, Time(2_999)), Some((press(), Some(Time(3_000)))));
        assert_eq!(recalled(&mut successes, &mark, Time(3_000)), None);
        successes.keep(mark, 0, &allow(None), 0, Time(20_000));
        assert_eq!(recalled(&mut successes, &mark, Time(20_000)), None, "zero seconds are none");
    }

    #[test]
    fn refusals_assigned_identifiers_and_answers_with_data_are_not_kept() {
        let (mark, mut successes) = (Mark([1; 32]), Successes::default());
        let deny = Verdict::Deny { reason: ReasonCode::NotAuthorized, why: String::new() };
        let assigned =
            Verdict::Allow { principal: press(), client_id: Some("auto-1".to_owned()), ends_at: None, auth_data: None };
        let with_data = Verdict::Allow { principal: press(), client_id: None, ends_at: None, auth_data: Some(vec![1]) };
        for verdict in [deny, assigned, with_data] {
            successes.keep(mark, 0, &verdict, 10, Time(0));
            assert_eq!(recalled(&mut successes, &mark, Time(0)), None, "{verdict:?}");
        }
    }

    #[test]
    fn a_change_forgets_everything_and_the_answers_to_what_was_asked_before() {
        let (mark, mut successes) = (Mark([1; 32]), Successes::default());
        let asked_in = successes.era();
        successes.keep(mark, asked_in, &allow(None), 10, Time(0));
        successes.forget();
        assert_eq!(recalled(&mut successes, &mark, Time(0)), None);
        successes.keep(mark, asked_in, &allow(None), 10, Time(0));
        assert_eq!(recalled(&mut successes, &mark, Time(0)), None);
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let mut successes = Successes::default();
        let mark = |at: usize| {
            let mut octets = [0; 32];
            octets[..8].copy_from_slice(&at.to_be_bytes());
            Mark(octets)
        };
        for at in 0..3 * HALF {
            successes.keep(mark(at), 0, &allow(None), 10, Time(0));
        }
        assert!(successes.young.len() + successes.old.len() <= 2 * HALF);
        assert_eq!(recalled(&mut successes, &mark(0), Time(0)), None);
        assert!(recalled(&mut successes, &mark(3 * HALF - 1), Time(0)).is_some());
    }
}
