//! *Start Register* and *Register*.

use sw_types::{Origin, PromiseId, RegistrationId, ScopeUrl, UpdateViaCache};

use crate::job::{Job, JobType, RegisterArgs, ScriptArgs};
use crate::state::{Registration, ScopeKey};
use crate::{JobError, Provenance, Register, Registry, Settled};

impl Registry {
    /// *Start Register*, from step 10: the URLs have been checked by their types.
    pub(crate) fn start_register(&mut self, promise: PromiseId, register: Register) {
        let key = (register.storage_key, register.scope);
        let args = RegisterArgs {
            script: ScriptArgs {
                url: register.script_url,
                worker_type: register.worker_type,
                update_via_cache: Some(register.update_via_cache),
                force_bypass_cache: false,
                referrer: register.referrer,
                initiator: register.initiator,
            },
            referrer_origin: register.referrer_origin,
            provenance: register.provenance,
        };
        let job = Job::new(JobType::Register(args), Some((promise, register.client)));
        self.schedule_job(key, job);
    }

    /// *Register*.
    pub(crate) fn register(&mut self, key: &ScopeKey, args: &RegisterArgs) {
        // Steps 1 to 3.
        if let Err(error) = self.check_origins(key, args) {
            self.reject_job(key, error);
            self.finish_job(key);
            return;
        }
        // Step 4: *Get Registration*.
        let Some(id) = self.registration_id_at(key) else {
            // Step 6: *Set Registration*.
            let update_via_cache = args.script.update_via_cache.unwrap_or_default();
            self.set_registration(key, update_via_cache, args.provenance);
            // Step 7.
            self.update(key, &args.script);
            return;
        };
        let registration = &self.registrations[&id];
        // Step 5: the newest worker is just this one.
        let equal = args.script.update_via_cache == Some(registration.update_via_cache)
            && registration
                .newest()
                .and_then(|newest| self.workers.get(&newest))
                .is_some_and(|newest| {
                    newest.script_url == args.script.url
                        && newest.worker_type == args.script.worker_type
                });
        let made_by_script = registration.provenance == Provenance::Script;
        if equal {
            if !made_by_script && registration.provenance != args.provenance {
                self.adopt(id, args.provenance);
            }
            self.resolve_with_registration(key, id);
            self.finish_job(key);
        } else if made_by_script && args.provenance != Provenance::Script {
            // SEMANTICS §5.6: a header never replaces a registration of a script.
            let error = JobError::InvalidState(format!(
                "scope {} was registered by a script, and a response header does not replace that",
                key.1
            ));
            self.reject_job(key, error);
            self.finish_job(key);
        } else {
            // Step 7.
            self.update(key, &args.script);
        }
    }

    /// *Resolve Job Promise* with a registration.
    pub(crate) fn resolve_with_registration(&mut self, key: &ScopeKey, id: RegistrationId) {
        if let Some(view) = self.registration(id) {
            self.resolve_job(key, &Settled::Registration(view));
        }
    }

    /// Lets an origin count as potentially trustworthy: the user agent's allow-list.
    pub fn trust(&mut self, origin: Origin) {
        self.trusted.insert(origin);
    }

    fn check_origins(&self, key: &ScopeKey, args: &RegisterArgs) -> Result<(), JobError> {
        let (storage_key, scope) = key;
        let script = &args.script.url;
        let script_origin = script.origin();
        let referrer = &args.referrer_origin;
        // Step 1.
        if !script_origin.is_potentially_trustworthy() && !self.trusted.contains(&script_origin) {
            return Err(JobError::Security(format!(
                "script {script}: origin {script_origin} is not potentially trustworthy (expected https or a loopback host)"
            )));
        }
        // Step 2.
        if script_origin != *referrer {
            return Err(JobError::Security(format!(
                "script {script} is not of the origin that registers it, {referrer}"
            )));
        }
        // Step 3, and the same for the key that the host gave.
        if scope.origin() != *referrer {
            return Err(JobError::Security(format!(
                "scope {scope} is not of the origin that registers it, {referrer}"
            )));
        }
        if storage_key.origin() != referrer {
            return Err(JobError::Security(format!(
                "scope {scope} cannot be stored under {storage_key}"
            )));
        }
        Ok(())
    }

    /// *Set Registration*.
    fn set_registration(
        &mut self,
        key: &ScopeKey,
        update_via_cache: UpdateViaCache,
        provenance: Provenance,
    ) {
        let id = RegistrationId::take_next(&mut self.next_registration);
        let (storage_key, scope): (_, ScopeUrl) = key.clone();
        self.registrations.insert(
            id,
            Registration {
                id,
                storage_key,
                scope,
                update_via_cache,
                last_update_check: None,
                provenance,
                navigation_preload: Default::default(),
                installing: None,
                waiting: None,
                active: None,
                clients: Default::default(),
                unregistered: false,
                activation: None,
                storing_install: false,
                stored_as_activated: None,
                wakes: Vec::new(),
                asked_before_clear: Default::default(),
                stored: false,
                last_used: Some(self.now().instant),
            },
        );
        self.publish(id);
    }

    /// A script registers what a header had installed, or the host's policy has changed.
    fn adopt(&mut self, id: RegistrationId, provenance: Provenance) {
        if let Some(registration) = self.registrations.get_mut(&id) {
            registration.provenance = provenance;
        }
        self.changed.insert(id);
        self.store_for_nobody(id);
    }
}
