//! Navigation preload: whether the network is asked beside the event of a navigation, and for what.
//! (*Service Workers*, "Handle Fetch", "If request is a navigation request …".)

use http::Method;
use http::header::HeaderName;
use sw_types::NavigationPreload;
use sw_types::fetch::{RequestHead, RequestMode, ServiceWorkersMode};

use crate::Verdict;

const SERVICE_WORKER_NAVIGATION_PRELOAD: HeaderName =
    HeaderName::from_static("service-worker-navigation-preload");

/// The request that is sent to the network beside the event; `None` if nothing is preloaded. `own` is
/// what [`route`](crate::route) says of the request, `preload` the state of the registration that it
/// names.
///
/// A response may go to the worker once [`filter_network`](crate::filter_network) has passed it.
#[must_use]
pub fn navigation_preload(
    request: &RequestHead,
    own: Verdict,
    preload: &NavigationPreload,
) -> Option<RequestHead> {
    // "… registration's navigation preload enabled flag is set, request's method is `GET`,
    // registration's active worker's set of event types to handle contains fetch, and … all fetch
    // listeners are empty flag is not set": it is dispatched to.
    let is_wanted = request.mode == RequestMode::Navigate
        && request.method == Method::GET
        && preload.enabled
        && own.worker().is_some();
    if !is_wanted {
        return None;
    }
    // "Let preloadRequest be the result of cloning the request request", with the header, and with
    // service-workers mode "none".
    let mut preloading = RequestHead {
        service_workers: ServiceWorkersMode::None,
        ..request.clone()
    };
    // Its answer is an answer to what the worker is asked, wherever redirects came from.
    let redirects = preloading.url_list.len().saturating_sub(1);
    preloading.url_list.drain(..redirects);
    preloading.headers.append(
        SERVICE_WORKER_NAVIGATION_PRELOAD,
        preload.header_value.clone(),
    );
    Some(preloading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SkipReason;
    use sw_types::{Origin, RegistrationId, WorkerId};
    use url::Url;

    const ASKED: Verdict = Verdict::Dispatch {
        registration: RegistrationId(1),
        worker: WorkerId(2),
        wait_for_activated: false,
    };

    fn navigation() -> RequestHead {
        let url = |url| Url::parse(url).unwrap();
        let page = url("https://acme.com/now");
        RequestHead {
            mode: RequestMode::Navigate,
            url_list: vec![url("https://acme.com/before"), page.clone()],
            ..RequestHead::get(page.clone(), Origin::of(&page))
        }
    }

    fn enabled() -> NavigationPreload {
        NavigationPreload {
            enabled: true,
            ..NavigationPreload::default()
        }
    }

    #[test]
    fn the_network_is_asked_past_all_workers_and_told_that_it_is_a_preload() {
        let preloading = navigation_preload(&navigation(), ASKED, &enabled()).unwrap();
        assert_eq!(preloading.service_workers, ServiceWorkersMode::None);
        assert_eq!(preloading.url_list.len(), 1);
        assert_eq!(preloading.url().as_str(), "https://acme.com/now");
        assert_eq!(
            preloading.headers[SERVICE_WORKER_NAVIGATION_PRELOAD],
            "true"
        );
    }

    #[test]
    fn nothing_is_preloaded_unless_a_worker_is_asked_about_a_navigation_by_get() {
        let request = navigation();
        let off = NavigationPreload::default();
        assert_eq!(navigation_preload(&request, ASKED, &off), None);
        for reason in [
            SkipReason::EmptyFetchListeners,
            SkipReason::NoFetchListener,
            SkipReason::RoutedToNetwork,
        ] {
            let skipped = Verdict::Skip(reason);
            assert_eq!(navigation_preload(&request, skipped, &enabled()), None);
        }
        let posted = RequestHead {
            method: Method::POST,
            ..request.clone()
        };
        assert_eq!(navigation_preload(&posted, ASKED, &enabled()), None);
        let subresource = RequestHead {
            mode: RequestMode::Cors,
            ..request
        };
        assert_eq!(navigation_preload(&subresource, ASKED, &enabled()), None);
    }
}
