//! *Install*.

use sw_registry::Lifecycle;
use sw_types::{RegistrationId, WorkerId, WorkerState};

use super::disk::Then;
use super::{Key, Model};

impl Model {
    pub(super) fn install(&mut self, id: RegistrationId, worker: WorkerId) {
        let it = self.registration(id);
        let (key, before) = (it.key, (it.update_via_cache, it.provenance));
        it.installing = Some(worker);
        self.head(key).before = Some(before);
        self.copy_job_to_registration(key, id);
        let found = self.workers.get_mut(&worker).expect("it was evaluated");
        found.state = WorkerState::Installing;
        found.event = Some(Lifecycle::Install);
        // An installation by header tells its host how it ended.
        if !self.head(key).is_by_header() {
            self.resolve_job(key, &format!("registration {id}"));
        }
        self.tell_all(id, "updatefound");
    }

    pub(super) fn install_event_over(
        &mut self,
        id: RegistrationId,
        worker: WorkerId,
        fulfilled: bool,
    ) {
        let key = self.registrations[&id].key;
        if fulfilled {
            let it = self.workers.get_mut(&worker).expect("it installs");
            let used = &it.used;
            it.scripts.retain(|path, _| used.contains(path));
            self.registration(id).storing_install = true;
            let job = self.head(key).number;
            self.write(id, Then::Install(key, job));
        } else {
            self.install_failed(id);
            self.reject_job(key, "AbortError");
            self.finish_job(key);
        }
    }

    /// Row and scripts of the installing worker are durable, or are not to be.
    pub(super) fn installed(&mut self, key: Key) {
        let id = self.registration_at(key).expect("a job holds it");
        let it = self.registration(id);
        it.storing_install = false;
        let worker = it.installing.take().expect("it was written");
        if let Some(replaced) = it.waiting.replace(worker) {
            self.redundant(id, replaced);
        }
        self.set_state(id, worker, WorkerState::Installed);
        self.resolve_job(key, &format!("registration {id}"));
        self.finish_job(key);
        self.attempt(id);
    }

    /// The store refused it. Only who installs by header still waits to hear of that.
    pub(super) fn not_installed(&mut self, key: Key) {
        let id = self.registration_at(key).expect("a job holds it");
        self.reports.push(format!("{} not stored", key.1));
        self.install_failed(id);
        if self.head(key).is_by_header() {
            self.reject_job(key, "the store failed");
        }
        self.finish_job(key);
    }

    fn install_failed(&mut self, id: RegistrationId) {
        let key = self.registrations[&id].key;
        let before = self.head(key).before.take().expect("it installs");
        let it = self.registration(id);
        (it.update_via_cache, it.provenance) = before;
        it.storing_install = false;
        let worker = it.installing.take().expect("it installs");
        self.redundant(id, worker);
        // What was written meanwhile may have named it.
        self.write(id, Then::Nobody(key));
        self.remove_if_empty(key);
    }
}
