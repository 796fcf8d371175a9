//! The place a listener's current [`TlsContext`] lives in.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::TlsContext;

/// Shared by all shards of one listener. Each accepted connection takes the context that is current
/// when its handshake begins.
#[derive(Debug, Clone)]
pub struct TlsSlot {
    current: Arc<ArcSwap<TlsContext>>,
}

impl TlsSlot {
    /// A slot that starts with `context`.
    #[must_use]
    pub fn new(context: TlsContext) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(context)) }
    }

    /// Swaps certificates, roots and CRLs in place. No connection is dropped. Sessions of the old
    /// context cannot be resumed: a resumed session runs no verifier, so it would escape the new CRL.
    pub fn replace(&self, context: TlsContext) {
        self.current.store(Arc::new(context));
    }

    /// The context for a new connection.
    #[must_use]
    pub fn current(&self) -> Arc<TlsContext> {
        self.current.load_full()
    }
}
