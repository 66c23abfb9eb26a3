//! Navigation preload: what a registration keeps of it. (*Service Workers*,
//! "NavigationPreloadManager".)

use sw_types::{NavigationPreload, PromiseId, RegistrationId};

use crate::job::Waiting;
use crate::{JobError, Output, PreloadChange, Registry, Settled, StoreError};

/// A change that is being stored.
#[derive(Clone, Debug)]
pub(crate) struct ChangedPreload {
    before: NavigationPreload,
    after: NavigationPreload,
}

impl Registry {
    /// `navigationPreload.getState()`: also of a registration that is unregistered and still in use.
    #[must_use]
    pub fn navigation_preload(&self, id: RegistrationId) -> Option<&NavigationPreload> {
        Some(&self.registrations.get(&id)?.navigation_preload)
    }

    /// `navigationPreload.enable()`, `disable()` and `setHeaderValue()`. Counts at once; the promise
    /// resolves when it is durable.
    pub(crate) fn set_navigation_preload(
        &mut self,
        promise: PromiseId,
        id: RegistrationId,
        change: PreloadChange,
    ) {
        // enable, step 2.2: no active worker.
        let registration = self
            .registrations
            .get_mut(&id)
            .filter(|registration| registration.active.is_some());
        let Some(registration) = registration else {
            let error = JobError::InvalidState(format!(
                "{id} has no active worker, so it has no navigation to preload"
            ));
            self.output(Output::Settle(promise, Err(error)));
            return;
        };
        let before = registration.navigation_preload.clone();
        // Step 2.3.
        match change {
            PreloadChange::Enabled(enabled) => registration.navigation_preload.enabled = enabled,
            PreloadChange::HeaderValue(value) => {
                registration.navigation_preload.header_value = value;
            }
        }
        let after = registration.navigation_preload.clone();
        self.changed.insert(id);
        // Step 2.4, once it is stored.
        let changed = ChangedPreload { before, after };
        let waiting = Waiting::NavigationPreload(promise, id, changed);
        if self.store(id, waiting).is_none() {
            self.output(Output::Settle(promise, Ok(Settled::Done)));
        }
    }

    /// A store that refuses takes the change back, unless another came after it.
    pub(crate) fn navigation_preload_stored(
        &mut self,
        promise: PromiseId,
        id: RegistrationId,
        changed: &ChangedPreload,
        result: Result<(), StoreError>,
    ) {
        if result.is_err() {
            self.edit(id, |registration| {
                if registration.navigation_preload == changed.after {
                    registration.navigation_preload = changed.before.clone();
                }
            });
        }
        let result = result.map(|()| Settled::Done).map_err(JobError::Store);
        self.output(Output::Settle(promise, result));
    }
}
