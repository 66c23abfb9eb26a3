//! What a host is told that no script is.

use sw_types::{RegistrationId, ScopeUrl, ScriptUrl, WorkerId, WorkerState};

/// What happened in the background. A host shows it to people: in a console, in developer tools.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A worker has a new state.
    WorkerState {
        /// Its registration.
        registration: RegistrationId,
        /// The registration's scope.
        scope: ScopeUrl,
        /// The worker.
        worker: WorkerId,
        /// Its new state.
        state: WorkerState,
    },
    /// Something in the registration store failed that no promise tells.
    Registry(sw_registry::Report),
    /// A worker that a response header named was not installed.
    HeaderInstallFailed {
        /// Its script.
        script_url: ScriptUrl,
        /// Why.
        error: sw_registry::JobError,
    },
    /// The messages of a registration's stashed ports were over their quota: the port that held the
    /// most of them was closed, and what it held is lost. (SEMANTICS §5.3.)
    StashedPortClosed {
        /// The registration's scope.
        scope: ScopeUrl,
        /// The port.
        entry: stash::EntryId,
    },
    /// The store refuses what stashed ports have received: it is not accepted, and neither delivered
    /// nor dropped, but offered again after a while. Said once until the store has taken something.
    StashNotStored {
        /// What the store says.
        error: sw_registry::StoreError,
    },
    /// What was stored of a stashed port is damaged, and the port is closed; or one of its messages was
    /// delivered again too often, and is left out. What there is of it is kept aside in the store.
    /// (SEMANTICS §5.3.)
    StashQuarantined {
        /// The port.
        entry: stash::EntryId,
        /// What is wrong.
        reason: String,
    },
}
