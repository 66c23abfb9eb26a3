//! Clearing site data, wherever it is kept. (SEMANTICS §8.9.)

use std::future::Future;

use sw_registry::{Input, JobError, SiteData};

use crate::Handle;

impl Handle {
    /// Clears what is kept for an origin or a storage key, at once and whoever uses it:
    /// registrations and their scripts, prefixes, stashed ports, what installation by header
    /// remembers. Workers stop, jobs end with an `AbortError`, clients have no controller any more,
    /// peers of stashed ports hear `close`. Settles when the store has removed it all in one
    /// transaction. `caches` and cookies are the host's own to clear.
    ///
    /// # Errors
    /// If the store refuses. It is all gone for scripts then, too; the rows are removed with the
    /// next write, or come back if there is none before the profile is closed.
    pub fn clear_site_data(
        &self,
        of: SiteData,
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        self.shared.installs().clear(|key| of.covers(key));
        let asked = self.shared.ask(|promise| Input::ClearSiteData(promise, of));
        async move { asked.await.map(drop) }
    }
}
