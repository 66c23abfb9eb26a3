//! New navigables, with their initial `about:blank`.

use std::rc::Rc;

use bytes::Bytes;
use rquickjs::Ctx;
use service_worker::types::Origin;
use service_worker::types::fetch::Destination;

use super::new_document::{Content, open};
use super::{about_blank, create_client, next_client, place};
use crate::js::event_loop::EventLoop;
use crate::js::navigables::{Entry, Navigable, NavigableId, Resource};
use crate::js::realm::{Realm, RealmOptions, RealmState};
use crate::js::sandbox::Sandbox;
use crate::js::task::RealmId;
use crate::js::window_proxy;

impl EventLoop {
    /// *Create a new top-level traversable*, or *create a new child navigable*, with the initial
    /// `about:blank` of the origin of `creator`. Requests of its navigations are for `destination`.
    ///
    /// # Errors
    /// Why not, for people.
    pub(in crate::js) fn create_navigable(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        creator: &RealmState,
        (parent, destination): (Option<NavigableId>, Destination),
        name: String,
        sandbox: Sandbox,
    ) -> Result<NavigableId, String> {
        let url = about_blank();
        let place = place(creator, parent.is_some());
        let client = next_client(creator);
        let origin = if sandbox.origin {
            Origin::opaque(client.0)
        } else {
            creator.environment().origin.clone()
        };
        let environment = place.environment(client, url.clone(), origin);
        let base_url = creator.base_url();
        let mut options = creator.options().for_document(environment.clone());
        options.base_url = Some(base_url);
        options.policies = creator.policies().clone();
        options.sandbox = sandbox.union(if parent.is_some() {
            creator.options().sandbox
        } else {
            Sandbox::default()
        });
        let sandbox = options.sandbox;
        let (realm, id) = self.create_window(ctx, options, |proxy| Navigable {
            parent,
            children: Vec::new(),
            opener: None,
            name,
            active: RealmId::MAIN,
            sandbox,
            destination,
            is_initial_about_blank: true,
            is_closing: false,
            navigation: 0,
            entries: Vec::new(),
            current: 0,
            focused_at: None,
            client: None,
            proxy: proxy.proxy,
            target: proxy.target,
        })?;
        let by = creator.environment().id;
        let client = create_client(creator, &environment, Some(by));
        if let Some(navigable) = self.navigables_mut().get_mut(id) {
            navigable.client = client;
            navigable.entries.push(Entry {
                url,
                document: realm.id(),
                state: None,
                resource: Resource::Url,
            });
        }
        open(
            ctx,
            &realm,
            &Content {
                bytes: Bytes::new(),
                content_type: "text/html".to_owned(),
            },
            creator.url().as_str(),
            true,
        );
        self.tell_ready(&realm);
        Ok(id)
    }

    /// Makes the window of a new navigable.
    fn create_window(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        options: RealmOptions,
        navigable: impl FnOnce(window_proxy::NewProxy) -> Navigable,
    ) -> Result<(Realm, NavigableId), String> {
        let id = self.navigables_mut().next_id();
        self.check_navigables()?;
        let proxy = self.new_proxy(ctx, id).map_err(|error| error.to_string())?;
        let navigable = navigable(proxy);
        self.navigables_mut().insert(id, navigable);
        match self.create_realm(ctx, options, Some(id)) {
            Ok(realm) => {
                if let Some(navigable) = self.navigables_mut().get_mut(id) {
                    navigable.active = realm.id();
                }
                Ok((realm, id))
            }
            Err(error) => {
                drop(self.navigables_mut().remove(id));
                Err(error)
            }
        }
    }
}
