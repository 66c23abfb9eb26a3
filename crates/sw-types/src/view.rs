//! What scripts see of registrations and workers, and what clients are told of them.

#![expect(
    clippy::exhaustive_enums,
    reason = "a notice that a host does not handle is a bug"
)]

use serde::{Deserialize, Serialize};

use crate::{RegistrationId, ScopeUrl, ScriptUrl, UpdateViaCache, WorkerId, WorkerState};

/// A worker as a `ServiceWorker` object shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its id.
    pub id: WorkerId,
    /// Its script.
    pub script_url: ScriptUrl,
    /// Its state.
    pub state: WorkerState,
}

/// A registration as a `ServiceWorkerRegistration` object shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationView {
    /// Its id.
    pub id: RegistrationId,
    /// Its scope.
    pub scope: ScopeUrl,
    /// Its update-via-cache mode.
    pub update_via_cache: UpdateViaCache,
    /// Its installing worker.
    pub installing: Option<WorkerView>,
    /// Its waiting worker.
    pub waiting: Option<WorkerView>,
    /// Its active worker.
    pub active: Option<WorkerView>,
}

/// What a client is told, in order; a host turns each into a task on the DOM manipulation source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientNotice {
    /// Fire `updatefound` at the registration's objects.
    UpdateFound(RegistrationView),
    /// Set a worker's state and fire `statechange` at its objects.
    StateChanged {
        /// The worker.
        worker: WorkerId,
        /// Its new state.
        state: WorkerState,
        /// Its registration, as it is now.
        registration: RegistrationView,
    },
    /// Set the client's controller and fire `controllerchange`.
    ControllerChanged(Option<WorkerView>),
    /// A registration's update-via-cache mode changed, and no version came with it: its objects show
    /// the new one, and no event is fired.
    UpdateViaCacheChanged(RegistrationView),
}
