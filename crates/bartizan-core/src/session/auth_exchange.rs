//! The exchange before CONNACK, and re-authentication after it, as a state machine (4.12).
//!
//! A CONNECT is copied out of its frame here, once: it outlives the frame while somebody
//! decides. The password is wiped from `Debug`.
//!
//! ```text
//!   CONNECT ──> Asked ──allow──> (open)          Asked: the authenticators are asked
//!                 │ ^
//!       continue  v │ AUTH 0x18, same method     Challenged: the client is
//!              Challenged
//! ```

use std::fmt;
use std::sync::Arc;

use super::will::Will;
use crate::message::Time;
use crate::wire::Version;

/// Octets that never show in a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps octets.
    #[must_use]
    pub fn new(octets: &[u8]) -> Secret {
        Secret(octets.to_vec())
    }

    /// The octets, for whoever verifies them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // Best effort without `unsafe`: the compiler may not elide writes it must assume read.
        self.0.iter_mut().for_each(|octet| *octet = 0);
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A CONNECT packet, copied out of its frame.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// The protocol.
    pub version: Version,
    /// Clean Start.
    pub clean_start: bool,
    /// Keep Alive, seconds.
    pub keep_alive_s: u16,
    /// Client Identifier; empty asks for an assigned one.
    pub client_id: String,
    /// User Name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// The Will.
    pub will: Option<Will>,
    /// Session Expiry Interval asked for, seconds.
    pub session_expiry_s: u32,
    /// Receive Maximum.
    pub receive_maximum: u16,
    /// Maximum Packet Size.
    pub maximum_packet_size: u32,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Request Response Information.
    pub request_response_information: bool,
    /// Request Problem Information.
    pub problem_information: bool,
    /// Authentication Method.
    pub auth_method: Option<Arc<str>>,
    /// Authentication Data.
    pub auth_data: Option<Secret>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The authenticators have the word.
    Asked,
    /// AUTH 0x18 was sent; the client has the word.
    Challenged,
}

/// Most challenges in one exchange: bounded, or a client could hold it open for ever.
pub const ROUNDS_MAX: u32 = 8;

/// Where an exchange stands: the same before CONNACK and in a re-authentication.
#[derive(Debug)]
pub struct Rounds {
    turn: Turn,
    challenges: u32,
    state: Option<Secret>,
}

impl Rounds {
    /// The authenticators have the word.
    #[must_use]
    pub fn begin() -> Rounds {
        Rounds { turn: Turn::Asked, challenges: 0, state: None }
    }

    /// True while the authenticators have the word.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.turn == Turn::Asked
    }

    /// The authenticators answered with a challenge; what they want to remember of it lives and
    /// ends with the connection. False when there were too many.
    pub fn challenge(&mut self, state: Option<Secret>) -> bool {
        self.challenges += 1;
        self.turn = Turn::Challenged;
        self.state = state;
        self.challenges <= ROUNDS_MAX
    }

    /// The client's turn ends with AUTH 0x18. False when it was not its turn.
    pub fn response(&mut self) -> bool {
        std::mem::replace(&mut self.turn, Turn::Asked) == Turn::Challenged
    }

    /// What the authenticators wanted to remember, for their next word.
    pub fn take_state(&mut self) -> Option<Secret> {
        self.state.take()
    }
}

/// A CONNECT that is not answered yet.
#[derive(Debug)]
pub struct AuthExchange {
    /// What the client asks for.
    pub connect: ConnectRequest,
    /// How far it has come.
    pub rounds: Rounds,
}

impl AuthExchange {
    /// The authenticators are asked about this CONNECT.
    #[must_use]
    pub fn new(connect: ConnectRequest) -> AuthExchange {
        AuthExchange { connect, rounds: Rounds::begin() }
    }

    /// The client answered the challenge by AUTH 0x18. False when it was not asked, or names
    /// another method [MQTT-4.12.0-5].
    pub fn response(&mut self, method: Option<&str>) -> bool {
        self.rounds.response() && method == self.connect.auth_method.as_deref()
    }
}

/// A re-authentication under way (4.12.1): the connection is open all the while.
#[derive(Debug)]
pub struct Reauthentication {
    /// How far it has come.
    pub rounds: Rounds,
    /// When it must be over.
    pub due: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> AuthExchange {
        AuthExchange::new(ConnectRequest {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 0,
            client_id: String::new(),
            user_name: None,
            password: Some(Secret::new(b"hunter2")),
            will: None,
            session_expiry_s: 0,
            receive_maximum: 65_535,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            request_response_information: false,
            problem_information: true,
            auth_method: Some("M".into()),
            auth_data: None,
        })
    }

    #[test]
    fn only_a_challenged_client_may_answer_and_only_by_the_same_method() {
        let mut exchange = exchange();
        assert!(!exchange.response(Some("M")));
        assert!(exchange.rounds.challenge(None));
        assert!(!exchange.response(Some("other")));
        assert!(exchange.rounds.challenge(None));
        assert!(exchange.response(Some("M")));
    }

    #[test]
    fn an_exchange_ends_after_so_many_rounds() {
        let mut exchange = exchange();
        let rounds = (0..).take_while(|_| exchange.rounds.challenge(None)).count();
        assert_eq!(rounds, ROUNDS_MAX as usize);
    }

    #[test]
    fn what_is_remembered_is_given_back_once_and_never_shown() {
        let mut rounds = Rounds::begin();
        assert!(rounds.challenge(Some(Secret::new(b"nonce"))));
        assert!(!format!("{rounds:?}").contains("nonce") && !format!("{rounds:?}").contains("110"));
        assert!(rounds.response());
        assert_eq!(rounds.take_state(), Some(Secret::new(b"nonce")));
        assert_eq!(rounds.take_state(), None);
    }

    #[test]
    fn a_password_is_not_in_debug_output() {
        assert!(!format!("{:?}", exchange()).contains("hunter2"));
        assert!(!format!("{:?}", exchange()).contains("104, 117"));
    }
}
