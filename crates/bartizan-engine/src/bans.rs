//! Bans and throttles as Python hands them over, all of them at a time; and a Session that is discarded.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_core::policy::scope;
use bartizan_core::server::bans::{Bans, Cut};
use bartizan_core::server::throttle::{Throttle, Throttles};
use bartizan_core::server::update::Ended;
use serde::Deserialize;

use crate::engine::{Engine, EngineError, ask_every};
use crate::mailbox::Mail;

/// One ban.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BanText {
    of: Of,
    what: String,
    #[serde(default)]
    issuer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    Identity,
    Serial,
    ClientId,
    Address,
}

fn parse(json: &[u8]) -> Result<Bans, EngineError> {
    let texts: Vec<BanText> =
        serde_json::from_slice(json).map_err(|error| EngineError::Identities(error.to_string()))?;
    let mut bans = Bans::default();
    for text in texts {
        match text.of {
            Of::Identity => bans.identity(text.what),
            Of::Serial => bans.serial(text.what, text.issuer),
            Of::ClientId => bans.client_id(text.what),
            Of::Address if bans.network(&text.what) => {}
            Of::Address => return Err(EngineError::Identities(format!("{:?} is no address prefix", text.what))),
        }
    }
    Ok(bans)
}

impl Engine {
    /// Puts bans into force in place of those that were, also before a start. Returns the connections that were cut,
    /// once nothing is sent to them any more.
    ///
    /// # Errors
    /// `Identities`; then nothing has changed.
    pub fn ban(&self, json: &[u8]) -> Result<Vec<Cut>, EngineError> {
        let bans = Arc::new(parse(json)?);
        self.keep_bans(Arc::clone(&bans));
        let Some(shared) = self.shared() else { return Ok(Vec::new()) };
        let answers = ask_every(&shared, |done| Mail::Ban(Arc::clone(&bans), done))?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Puts throttles into force in place of those that were: JSON object of identity -> packets and octets per second.
    ///
    /// # Errors
    /// `Identities`; then nothing has changed.
    pub fn throttle(&self, json: &[u8]) -> Result<(), EngineError> {
        let texts: HashMap<String, (u64, u64)> =
            serde_json::from_slice(json).map_err(|error| EngineError::Identities(error.to_string()))?;
        let rates = |(publish_rate_per_s, publish_bytes_per_s)| Throttle { publish_rate_per_s, publish_bytes_per_s };
        let throttles: Arc<Throttles> =
            Arc::new(texts.into_iter().map(|(name, of)| (Arc::from(name), rates(of))).collect());
        let Some(shared) = self.shared() else { return Ok(()) };
        ask_every(&shared, |done| Mail::Throttle(Arc::clone(&throttles), done))?;
        Ok(())
    }

    /// Ends the Session of a Client Identifier, of a tenant's client if one is named; `None` where there is none.
    ///
    /// # Errors
    /// `State` when a shard does not answer in time.
    pub fn discard(&self, client_id: &str, tenant: Option<&str>) -> Result<Option<Ended>, EngineError> {
        let Some(shared) = self.shared() else { return Ok(None) };
        let whose = scope::name(tenant, client_id);
        let answers = ask_every(&shared, |done| Mail::Discard(whose.clone(), done))?;
        Ok(answers.into_iter().flatten().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ban_is_refused() {
        assert!(
            parse(br#"[{"of":"address","what":"10.0.0.0/8"},{"of":"serial","what":"1f","issuer":"CN=x"}]"#).is_ok()
        );
        for text in [r#"[{"of":"address","what":"10.0.0.1/8"}]"#, r#"[{"of":"name","what":"x"}]"#, "{}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
