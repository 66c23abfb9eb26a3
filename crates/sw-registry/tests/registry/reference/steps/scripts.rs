//! What pages and workers do.

use std::sync::Arc;

use bytes::Bytes;
use sw_registry::{Import as Answer, Input, Provenance, SiteData};
use sw_types::fetch::CacheMode;
use sw_types::{ClientId, Environment, Origin, ScriptResource, Site, WorkerState, WorkerType};

use super::{IMPORTS, MODES, PAGES, Random, Run, SCOPES, SCRIPTS};
use crate::harness::{Host, script, url};
use crate::model::Import;

const SITES: [&str; 2] = ["https://b.test/", "https://c.test/"];

impl Run {
    pub(super) fn register(&mut self, random: &mut Random) {
        let by_header = random.one_in(5);
        let client = self.client(random).filter(|_| !by_header);
        let scope = SCOPES[random.below(SCOPES.len())];
        let path = SCRIPTS[random.below(SCRIPTS.len())];
        let partition = usize::from(random.one_in(4));
        let mode = MODES[random.below(6) % MODES.len()];
        let is_module = random.one_in(6);
        let provenance = match by_header {
            true => Provenance::Header {
                controls_clients: random.one_in(2),
            },
            false => Provenance::Script,
        };
        let mut register = Host::registering(client, scope, path);
        register.storage_key = self.partitions[partition].clone();
        register.update_via_cache = mode;
        register.provenance = provenance;
        if is_module {
            register.worker_type = WorkerType::Module;
        }
        let promise = self.host.register_with(register);
        let (key, script) = ((partition, scope), (path, is_module));
        self.model
            .register(promise, client, key, script, mode, provenance);
    }

    pub(super) fn update(&mut self, random: &mut Random) {
        let Some(registration) = self.registration(random) else {
            return;
        };
        if random.one_in(2) {
            let promise = self.host.promise();
            let caller = self.worker(random).filter(|_| random.one_in(3));
            self.host.input(Input::Update {
                promise,
                registration,
                caller,
                referrer: None,
            });
            self.model
                .update(registration, Some(promise), caller, false);
        } else {
            let force_bypass_cache = random.one_in(2);
            self.host.input(Input::SoftUpdate {
                registration,
                force_bypass_cache,
            });
            self.model
                .update(registration, None, None, force_bypass_cache);
        }
    }

    pub(super) fn unregister(&mut self, random: &mut Random) {
        if let Some(id) = self.registration(random) {
            let promise = self.host.unregister(id);
            self.model.unregister(promise, id);
        }
    }

    pub(super) fn skip_waiting(&mut self, random: &mut Random) {
        if let Some(worker) = self.worker(random) {
            let promise = self.host.skip_waiting(worker);
            self.model.skip_waiting(promise, worker);
        }
    }

    pub(super) fn claim(&mut self, random: &mut Random) {
        if let Some(worker) = self.worker(random) {
            let promise = self.host.claim(worker);
            self.model.claim(promise, worker);
        }
    }

    pub(super) fn ready(&mut self, random: &mut Random) {
        if let Some(client) = self.client(random) {
            let promise = self.host.ready(client);
            self.model.ready(promise, client);
        }
    }

    pub(super) fn wake(&mut self, random: &mut Random) {
        if let Some(id) = self.registration(random) {
            let site = random.pick(&SITES).filter(|_| random.one_in(2));
            let promise = self.host.wake_for(id, site.map(of_site));
            self.model.wake(promise, id, site);
        }
    }

    pub(super) fn run(&mut self, random: &mut Random) {
        if let Some(worker) = self.worker(random) {
            let site = random.pick(&SITES).filter(|_| random.one_in(3));
            let promise = self.host.promise();
            self.host.input(Input::Run {
                promise,
                worker,
                initiator: site.map(of_site),
            });
            self.model.run(promise, worker, site);
        }
    }

    /// A worker that is evaluated or installing imports a script; sometimes another one tries.
    pub(super) fn import(&mut self, random: &mut Random) {
        let new = |state| state <= WorkerState::Installing;
        let any = random.one_in(4);
        let Some(worker) = self.live(random, |state| any || new(state)) else {
            return;
        };
        let path = IMPORTS[random.below(IMPORTS.len())];
        let (body, from_cache) = (random.body(), random.one_in(3));
        let answer = match self.host.registry.import(worker, &url(path)) {
            Answer::Have(_) => Import::Have,
            Answer::Refused => Import::Refused,
            Answer::Fetch(fetch) => Import::Fetch {
                no_cache: fetch.cache == CacheMode::NoCache,
            },
        };
        assert_eq!(answer, self.model.import(worker, path), "{worker} {path}");
        self.see(match answer {
            Import::Have => "an import that the map has",
            Import::Fetch { no_cache: true } => "an import past the cache",
            Import::Fetch { no_cache: false } => "an import through the cache",
            Import::Refused => "an import that is refused",
        });
        if answer == Import::Refused {
            return;
        }
        // Which may come too late.
        let fetched = matches!(answer, Import::Fetch { .. }).then_some(body);
        let resource = |body: u64| ScriptResource {
            body: Bytes::from(body.to_string()),
            headers: script("").headers,
        };
        self.host.input(Input::ScriptImported {
            worker,
            url: url(path),
            fetched: fetched.map(|body| Arc::new(resource(body))),
            from_cache,
        });
        self.model.imported(worker, path, fetched, from_cache);
    }

    /// A user clears an origin, or a response its partition.
    pub(super) fn clear_site_data(&mut self, random: &mut Random) {
        let promise = self.host.promise();
        let partition = (!random.one_in(3)).then(|| random.below(2));
        let of = match partition {
            Some(partition) => SiteData::StorageKey(self.partitions[partition].clone()),
            None => SiteData::Origin(self.partitions[0].origin().clone()),
        };
        self.host.input(Input::ClearSiteData(promise, of));
        self.model.clear_site_data(promise, partition);
    }

    pub(super) fn create_client(&mut self, random: &mut Random) {
        if self.model.clients.len() >= 6 {
            return;
        }
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let (partition, path) = (usize::from(random.one_in(4)), random.below(PAGES.len()));
        let ready = !random.one_in(4);
        self.host.input(Input::ClientCreated {
            environment: Environment::top_level(id, self.pages[path].clone()),
            storage_key: Some(self.partitions[partition].clone()),
        });
        if ready {
            self.host.input(Input::ClientReady(id));
        }
        self.model.client(id, partition, PAGES[path], ready);
    }

    pub(super) fn client_gone(&mut self, random: &mut Random) {
        if let Some(client) = self.client(random) {
            self.host.gone(client);
            self.model.gone(client);
        }
    }

    pub(super) fn client_uses(&mut self, random: &mut Random) {
        let client = self.client(random);
        if let (Some(client), Some(id)) = (client, self.registration(random)) {
            self.host.uses(client, id);
            self.model.client_uses(client, id);
        }
    }
}

fn of_site(site: &'static str) -> Site {
    Site::of(&Origin::of(&url(site)))
}
