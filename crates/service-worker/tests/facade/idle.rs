//! A worker that is stopped for idleness at the very moment that it is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use service_worker::{AnsweredBy, Policies};

use crate::native::{fonts_that_say, house_with};

/// How many fetches are made, one after another.
const FETCHES: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_about_to_be_stopped_for_idleness_answers_all_the_same() {
    let mut policies = Policies::seeds();
    policies.limits.idle = Duration::from_micros(300);
    policies.limits.stop = Duration::from_millis(200);
    policies.limits.starts_for_others = u32::MAX;
    let fonts = fonts_that_say(|scope| scope.start.run.to_string());
    let mut house = house_with(policies, fonts);
    let page = house.page(1, "https://site.test/");
    house.handle.caught_up().await;
    house.font(page).await.unwrap();
    house.until_activated("https://fonts.test/").await;
    let mut runs = BTreeSet::new();
    for fetch in 0..FETCHES {
        // Shorter and longer than it takes to be idle.
        for _ in 0..(fetch * 7919) % 16_000 {
            tokio::task::yield_now().await;
        }
        let (run, by) = house.font(page).await.unwrap();
        assert!(matches!(by, AnsweredBy::FallThrough(_)), "fetch {fetch}");
        runs.insert(run);
    }
    assert!(runs.len() > 10, "it was stopped {} times", runs.len() - 1);
}
