//! *importScripts* and static imports in a service worker. (*Service Workers*, "importScripts",
//! "Update", the *fetch hook*.)

use std::future::Future;
use std::sync::Arc;

use futures_channel::oneshot;
use sw_registry::{Import, Input, check_import};
use sw_types::{ScriptResource, WorkerId};
use url::Url;

use crate::driver::Driver;
use crate::shared::{Shared, ToDriver};
use crate::{Handle, script};

/// Why a script is not imported. A binding throws a `NetworkError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The worker is installed, and has not imported this script before.
    #[error("{0}: an installed worker imports only what it imported while it was installed")]
    Installed(Url),
    /// There is no response, or a bad one: not of an ok status, or no JavaScript.
    #[error("{0}")]
    Fetch(String),
    /// The worker is gone, or the subsystem is shut down.
    #[error("the worker is gone")]
    Gone,
}

type Imported = Result<Arc<ScriptResource>, ImportError>;

/// A script that a worker imports, on its way to the driver.
pub(crate) struct Importing {
    worker: WorkerId,
    url: Url,
    reply: oneshot::Sender<Imported>,
}

impl Handle {
    /// A script that a service worker imports: from its *script resource map*, or fetched while the
    /// worker is parsed or installing. The worker's thread may wait for it.
    ///
    /// # Errors
    /// As [`ImportError`] says.
    pub fn import_script(
        &self,
        worker: WorkerId,
        url: Url,
    ) -> impl Future<Output = Imported> + Send + 'static {
        let (reply, imported) = oneshot::channel();
        let importing = Importing { worker, url, reply };
        self.shared.send(ToDriver::Import(Box::new(importing)));
        async move { imported.await.unwrap_or(Err(ImportError::Gone)) }
    }
}

impl Driver {
    pub(crate) fn import(&mut self, importing: Importing) {
        let Importing { worker, url, reply } = importing;
        // The fragment is no part of what is fetched, nor of the map's keys.
        let mut key = url.clone();
        key.set_fragment(None);
        let answer = match self.registry.import(worker, &key) {
            Import::Have(script) => {
                self.tell(Input::ScriptImported {
                    worker,
                    url: key,
                    fetched: None,
                    from_cache: true,
                });
                Ok(script)
            }
            Import::Refused => Err(ImportError::Installed(url)),
            Import::Fetch(fetch) => {
                let shared = Arc::clone(&self.shared);
                self.shared.in_background(async move {
                    let imported = fetch_import(&shared, worker, key, *fetch).await;
                    // Nobody waits any more if the worker was stopped.
                    let _gone = reply.send(imported);
                });
                return;
            }
        };
        let _gone = reply.send(answer);
    }
}

async fn fetch_import(
    shared: &Arc<Shared>,
    worker: WorkerId,
    url: Url,
    fetch: sw_registry::FetchImport,
) -> Imported {
    let fetched = script::fetch_import(Arc::clone(shared), fetch).await;
    let fetched = fetched.map_err(|error| ImportError::Fetch(error.to_string()))?;
    check_import(&fetched, &url).map_err(|error| ImportError::Fetch(error.to_string()))?;
    let from_cache = fetched.from_cache;
    let script = Arc::new(ScriptResource {
        body: fetched.body,
        headers: fetched.headers,
    });
    shared.send(ToDriver::Tell(Input::ScriptImported {
        worker,
        url,
        fetched: Some(Arc::clone(&script)),
        from_cache,
    }));
    Ok(script)
}
