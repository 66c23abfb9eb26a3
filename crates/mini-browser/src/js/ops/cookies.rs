//! Of `document.cookie`: what a document may read and write of its profile's cookies.

use std::rc::Rc;
use std::sync::Arc;

use rquickjs::{Ctx, Error, Result};
use service_worker::types::PartitionPolicy;
use url::Url;

use super::{OpError, Ops};
use crate::fetch::FetchService;
use crate::js::realm::RealmState;
use crate::net::{CookieAccess, CookieJar, CookiePartition, SameSiteStatus};

/// `op_cookies_get()`: the *cookie-string* for the document's URL, from a non-HTTP API.
/// `op_cookies_set(text)`: *receives the set-cookie-string*, likewise. Both throw a `SecurityError`
/// for an opaque origin; for a URL that is neither http nor https there are no cookies. (*HTML*,
/// "cookie".)
pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_cookies_get", move |ctx: Ctx<'js>| {
        let cookies = Cookies::of(&realm).map_err(|error| error.throw(&ctx))?;
        let cookies = cookies.map(|cookies| cookies.jar.cookie_string(cookies.access()));
        let cookies = cookies.unwrap_or_default();
        Ok::<_, Error>(String::from_utf8_lossy(&cookies).into_owned())
    })?;

    let realm = ops.realm();
    ops.add("op_cookies_set", move |ctx: Ctx<'js>, cookie: String| {
        let cookies = Cookies::of(&realm).map_err(|error| error.throw(&ctx))?;
        if let Some(cookies) = cookies {
            cookies.jar.set(cookies.access(), cookie.as_bytes());
        }
        Ok::<_, Error>(())
    })
}

/// The cookies of one document.
struct Cookies {
    jar: Arc<CookieJar>,
    url: Url,
    partition: CookiePartition,
    same_site: SameSiteStatus,
}

impl Cookies {
    /// `None` if there are none to be had: the browser keeps none, or the document may use no
    /// storage.
    fn of(realm: &Rc<RealmState>) -> std::result::Result<Option<Self>, OpError> {
        let environment = realm.environment();
        if environment.origin.is_opaque() {
            let message = "a document with an opaque origin has no cookies";
            return Err(OpError::new("SecurityError", message));
        }
        let jar = realm
            .service::<FetchService>()
            .and_then(|service| service.cookies.clone());
        let policy = realm.service::<PartitionPolicy>();
        let key = policy.and_then(|policy| policy.storage_key(&environment, &environment.origin));
        Ok(jar.zip(key).map(|(jar, key)| Self {
            jar,
            url: realm.url().clone(),
            partition: CookiePartition::of(&key),
            // RFC 6265bis, §5.2.1: the site for cookies of a document is empty if any above it is
            // cross-site.
            same_site: if environment.cross_site_ancestor {
                SameSiteStatus::CrossSite
            } else {
                SameSiteStatus::SameSite
            },
        }))
    }

    const fn access(&self) -> CookieAccess<'_> {
        CookieAccess {
            url: &self.url,
            partition: &self.partition,
            same_site: self.same_site,
            http: false,
        }
    }
}
