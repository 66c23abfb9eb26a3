//! Of a page under test: the way out for its results. Any other realm is told that there is none,
//! also one of a frame or popup of that page.

use std::sync::Arc;

use rquickjs::Result;

use super::Ops;
use crate::conformance::Reporter;
use crate::js::realm::RealmState;

pub(super) fn declare(ops: &mut Ops<'_, '_>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_is_tested", move || reporter(&realm).is_some())?;

    let realm = ops.realm();
    ops.add("op_test_report", move |kind: String, json: String| {
        if let Some(reporter) = reporter(&realm) {
            reporter.report(&kind, &json);
        }
    })
}

fn reporter(realm: &RealmState) -> Option<Arc<Reporter>> {
    let own = realm.own_navigable()?;
    let is_main = realm.event_loop().main_navigable() == Some(own);
    let reporter: Arc<Reporter> = is_main.then(|| realm.service())??;
    reporter.is_of_this_agent().then_some(reporter)
}
