//! Of a page under test: the way out for its results. Any other realm is told that there is none.

use rquickjs::Result;

use super::Ops;
use crate::conformance::Reporter;

pub(super) fn declare(ops: &mut Ops<'_, '_>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_is_tested", move || {
        realm.service::<Reporter>().is_some()
    })?;

    let realm = ops.realm();
    ops.add("op_test_report", move |kind: String, json: String| {
        if let Some(reporter) = realm.service::<Reporter>() {
            reporter.report(&kind, &json);
        }
    })
}
