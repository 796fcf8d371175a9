//! Identities as Python hands them over: all of them with a policy, or those that changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_core::policy::Strength;
use bartizan_core::server::Roster;
use bartizan_core::server::update::{Ended, Ending, Update};
use bartizan_core::session::Principal;
use bartizan_core::wire::ReasonCode;
use serde::{Deserialize, Serialize};

use crate::engine::{ANSWER_MAX, Engine, EngineError, ask_every, late};
use crate::mailbox::Mail;

/// One enabled identity.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityEntry {
    id: String,
    roles: Vec<String>,
    attributes: HashMap<String, String>,
    /// SHA-256 of its revoked certificates, hexadecimal.
    #[serde(default)]
    revoked: Vec<String>,
}

impl IdentityEntry {
    fn principal(self) -> (Arc<str>, Arc<Principal>) {
        let principal = Principal {
            id: Arc::from(self.id),
            roles: self.roles.into_iter().map(Arc::from).collect(),
            attributes: self.attributes.into_iter().map(|(k, v)| (Arc::from(k), Arc::from(v))).collect(),
            method: Arc::from("stored"),
            managed: true,
            strength: Strength::default(),
            narrowed_to: None,
        };
        (Arc::clone(&principal.id), Arc::new(principal))
    }
}

/// Identities that changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedText {
    /// Those that may connect.
    identities: Vec<IdentityEntry>,
    /// Names of those that may not, or are not there any more.
    gone: Vec<String>,
    /// Those whose Sessions end.
    #[serde(default)]
    endings: HashMap<String, EndingText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndingText {
    reason: u8,
    why: String,
    /// Their Retained Messages go too.
    retained: bool,
}

/// What an update did.
#[derive(Debug, Default, Serialize)]
pub struct Updated {
    /// The epoch it opened.
    pub epoch: u64,
    /// Sessions that ended.
    pub ended: Vec<Ended>,
    /// Retained Messages that were removed.
    pub retained: usize,
}

type Identities = (Arc<Roster>, Arc<HashSet<String>>);

/// The enabled identities by name, and the fingerprints of their revoked certificates.
pub(crate) fn parse(json: &[u8]) -> Result<Identities, EngineError> {
    let entries: Vec<IdentityEntry> =
        serde_json::from_slice(json).map_err(|error| EngineError::Identities(error.to_string()))?;
    let revoked = revoked_of(&entries);
    Ok((Arc::new(entries.into_iter().map(IdentityEntry::principal).collect()), revoked))
}

fn revoked_of(entries: &[IdentityEntry]) -> Arc<HashSet<String>> {
    Arc::new(entries.iter().flat_map(|entry| entry.revoked.iter().cloned()).collect())
}

impl ChangedText {
    fn endings(&self) -> Result<HashMap<Arc<str>, Ending>, EngineError> {
        let ending = |(name, text): (&String, &EndingText)| {
            let reason = ReasonCode::from_u8(text.reason).filter(|reason| reason.is_error()).ok_or_else(|| {
                EngineError::Identities(format!("{:#04x} is not a Reason Code that refuses", text.reason))
            })?;
            Ok((Arc::from(name.as_str()), Ending { reason, why: Arc::from(text.why.as_str()) }))
        };
        self.endings.iter().map(ending).collect()
    }
}

impl Engine {
    /// Changes some identities under the policy in force. Returns once every shard has swept their Sessions, and
    /// ended those that were to end: nothing is sent to them from then on.
    ///
    /// # Errors
    /// `Identities`; then nothing has changed.
    pub fn update(&self, changed: &[u8]) -> Result<Updated, EngineError> {
        let text: ChangedText =
            serde_json::from_slice(changed).map_err(|error| EngineError::Identities(error.to_string()))?;
        let endings = Arc::new(text.endings()?);
        let cleared: HashSet<Arc<str>> =
            text.endings.iter().filter(|(_, one)| one.retained).map(|(name, _)| Arc::from(name.as_str())).collect();
        let revoked = revoked_of(&text.identities);
        let gone = text.gone.into_iter().map(|name| (Arc::from(name), None));
        let present = text.identities.into_iter().map(IdentityEntry::principal).map(|(name, who)| (name, Some(who)));
        let changes: Vec<(Arc<str>, Option<Arc<Principal>>)> = gone.chain(present).collect();
        let names = changes.iter().map(|(name, _)| Arc::clone(name)).chain(endings.keys().cloned()).collect();
        let (shared, update) = self.with_running(|running| {
            running.epoch += 1;
            running.identities = Arc::new(running.identities.with(changes));
            let identities = Arc::clone(&running.identities);
            let changed = Arc::new(names);
            (Arc::clone(&running.shared), Update { identities, changed, revoked, endings, epoch: running.epoch })
        })?;
        shared.desk.forget();
        let answers = ask_every(&shared, |done| Mail::Update(Box::new(update.clone()), done))?;
        let ended = answers.into_iter().flatten().collect();
        // Now that nobody can set one any more.
        let retained = if cleared.is_empty() { 0 } else { clear_retained(&shared, cleared)? };
        Ok(Updated { epoch: update.epoch, ended, retained })
    }
}

fn clear_retained(shared: &crate::shard::Shared, of: HashSet<Arc<str>>) -> Result<usize, EngineError> {
    let Some(mailbox) = shared.mailboxes.first() else { return Ok(0) };
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    mailbox.send(Mail::ClearRetained(of, sender));
    receiver.recv_timeout(ANSWER_MAX).map_err(|_| late())
}
