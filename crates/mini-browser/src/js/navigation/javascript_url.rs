//! `javascript:` URLs.

use std::rc::Rc;

use rquickjs::Ctx;

use super::new_document::of_text;
use super::{History, Navigate, next_client};
use crate::js::navigables::NavigableId;
use crate::js::page::evaluate_script;
use crate::js::realm::{Realm, RealmState};

/// *Navigate to a javascript: URL.*
pub(super) fn navigate_to_javascript(
    ctx: &Ctx<'_>,
    id: NavigableId,
    realm: &Realm,
    by: &Rc<RealmState>,
    to: &Navigate,
) {
    let event_loop = realm.state().event_loop();
    // Step 3: only by whoever may look into the document.
    let is_same = by.environment().origin == realm.state().environment().origin;
    if !is_same || realm.state().options().sandbox.scripts {
        event_loop.settled(ctx, id);
        return;
    }
    let encoded = &to.url.as_str()["javascript:".len()..];
    let bytes: Vec<u8> = percent_decode(encoded);
    let source = String::from_utf8_lossy(&bytes).into_owned();
    let name = realm.state().url().to_string();
    let result = evaluate_script(ctx, source, &name);
    let html = match result {
        Ok(value) => match value.as_string().map(rquickjs::String::to_string) {
            Some(Ok(html)) => html,
            _ => {
                // Step 9: no document comes of it.
                event_loop.settled(ctx, id);
                return;
            }
        },
        Err(_) => {
            realm.state().report(ctx);
            event_loop.settled(ctx, id);
            return;
        }
    };
    let mut new = of_text(
        realm.state().url().clone(),
        &html,
        realm.state().environment().clone(),
        Some(realm.state().base_url()),
        realm.state().options().sandbox,
        History::Replace,
    );
    new.creator = Some(new.environment.id);
    new.environment.id = next_client(realm.state());
    event_loop.show(ctx, id, new);
}

/// *Percent-decode.*
fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%')
            .then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)))
            .flatten();
        match digits {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                bytes = ahead;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
