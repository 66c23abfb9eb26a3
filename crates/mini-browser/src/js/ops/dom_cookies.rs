//! `document.cookie`. (*HTML*, "The Document object".)

use rquickjs::{Ctx, Result};
use service_worker::types::PartitionPolicy;

use super::{OpError, Ops};
use crate::fetch::FetchService;
use crate::js::realm::RealmState;
use crate::net::{CookieAccess, CookieJar, CookiePartition, SameSiteStatus};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_cookies", move |ctx: Ctx<'js>| -> Result<String> {
        check(&ctx, &realm)?;
        let read = with_jar(&realm, |jar, access| jar.cookie_string(access));
        // UTF-8 decode without BOM.
        Ok(String::from_utf8_lossy(&read.unwrap_or_default()).into_owned())
    })?;

    let realm = ops.realm();
    ops.add(
        "op_set_cookie",
        move |ctx: Ctx<'js>, cookie: String| -> Result<()> {
            check(&ctx, &realm)?;
            with_jar(&realm, |jar, access| jar.set(access, cookie.as_bytes()));
            Ok(())
        },
    )
}

/// A document of an opaque origin may not ask.
fn check(ctx: &Ctx<'_>, realm: &RealmState) -> Result<()> {
    if realm.environment().origin.is_opaque() {
        let message = "a document of an opaque origin has no cookies";
        return Err(OpError::new("SecurityError", message).throw(ctx));
    }
    Ok(())
}

/// Asks the cookies that the document's fetches are made with; `None` where there are none: without
/// a network, of a document that is not from one, or if it may use no storage.
fn with_jar<R>(
    realm: &RealmState,
    ask: impl FnOnce(&CookieJar, CookieAccess<'_>) -> R,
) -> Option<R> {
    let service = realm.service::<FetchService>()?;
    let jar = service.cookies.as_ref()?;
    let policy = realm.service::<PartitionPolicy>()?;
    let url = realm.url().clone();
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let environment = realm.environment().clone();
    let key = policy.storage_key(&environment, &environment.origin)?;
    let access = CookieAccess {
        url: &url,
        partition: &CookiePartition::of(&key),
        same_site: if environment.cross_site_ancestor {
            SameSiteStatus::CrossSite
        } else {
            SameSiteStatus::SameSite
        },
        http: false,
    };
    Some(ask(jar, access))
}
