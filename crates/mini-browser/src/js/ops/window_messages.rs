//! Of `window.postMessage()`.

use rquickjs::{Ctx, Persistent, Result, Value};
use service_worker::types::Origin;

use super::Ops;
use super::windows::{navigable_id, realm_numbered};
use crate::js::task::TaskSource;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Window post message steps, step 8: queue a global task on the posted message task source.
    // `message` is what `structured_clone.js` made. The target origin is "*" or an origin.
    let realm = ops.realm();
    ops.add(
        "op_post_to_window",
        move |ctx: Ctx<'js>, id: f64, by: f64, message: Value<'js>, target_origin: String| {
            let Some(target) = realm.event_loop().active(navigable_id(id)) else {
                return;
            };
            let Some(by) = realm_numbered(&realm, by) else {
                return;
            };
            let origin = by.environment().origin.clone();
            let target_origin = (target_origin == "/")
                .then(|| origin.clone())
                .map_or_else(|| TargetOrigin::named(target_origin), TargetOrigin::Exactly);
            let source = by.own_navigable();
            let message = Persistent::save(&ctx, message);
            target
                .state()
                .queue(TaskSource::PostedMessage, move |realm| {
                    // Step 8.1: the target's origin is that of its document now.
                    if !target_origin.matches(&realm.state().environment().origin) {
                        realm.with(|ctx| {
                            let dropped = realm.state().call(ctx, "dropWindowMessage", (message,));
                            drop(dropped);
                        });
                        return;
                    }
                    realm.with(|ctx| {
                        let source = source.and_then(|id| {
                            let navigables = realm.state().event_loop().navigables();
                            navigables.proxy(ctx, id)
                        });
                        let args = (message, origin.as_str().to_owned(), source);
                        realm.state().call(ctx, "windowMessage", args).is_some()
                    });
                });
        },
    )?;

    let realm = ops.realm();
    ops.add("op_origin_of", move |id: f64| {
        let found = realm_numbered(&realm, id);
        found.map(|found| found.environment().origin.as_str().to_owned())
    })
}

enum TargetOrigin {
    Any,
    Exactly(Origin),
    /// The serialization of a tuple origin.
    Named(String),
}

impl TargetOrigin {
    fn named(origin: String) -> Self {
        if origin == "*" {
            Self::Any
        } else {
            Self::Named(origin)
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == origin,
            Self::Named(wanted) => !origin.is_opaque() && wanted == origin.as_str(),
        }
    }
}
