//! Prefixes of `handleFallThroughRequests` against a matcher that knows nothing but strings, over
//! random scripts, scopes, prefixes and requests; and arguments of any shape.
//!
//! Replay a run with `PREFIX_SEED=<the printed seed>`.

use fetch_router::{
    Candidate, FallThroughCandidate, FallThroughPolicy, RouteRequest, SkipReason, Verdict,
    parse_fall_through_prefixes, route,
};
use sw_types::fetch::RequestHead;
use sw_types::{
    ClientId, Environment, FetchHandler, Origin, RegistrationId, RequesterFilter, ScopeUrl,
    ScriptUrl, UncredentialedFallThrough, WorkerId, WorkerState,
};
use url::Url;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = std::env::var("PREFIX_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(0x5eed_0f0e_0d0c);
        println!("PREFIX_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).expect("it is below a usize")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// A path of few letters, so that one is often the beginning of another.
    fn path(&mut self) -> String {
        let mut path = String::from("/f");
        for _ in 0..self.below(5) {
            path.push_str(self.pick(&["a", "b", "/", "é", "%2f", ".", "?", "&", "#", "A"]));
        }
        path
    }
}

#[test]
fn a_prefix_matches_exactly_the_urls_that_begin_with_it() {
    let mut random = Random::seeded();
    let page = Environment::top_level(
        ClientId(1),
        Url::parse("https://acme.com/").expect("a valid URL"),
    );
    let policy = FallThroughPolicy::new(UncredentialedFallThrough::Allow);
    let (mut matched, mut missed) = (0, 0);
    for _ in 0..30_000 {
        let script = ScriptUrl::parse("https://fonts.example.com/sw.js", None).expect("valid");
        let scope = ScopeUrl::default_for(&script);
        let prefixes: Vec<_> = (0..random.below(4)).map(|_| random.path()).collect();
        let origins = match random.below(4) {
            0 => Some(vec!["https://acme.com".to_owned()]),
            1 => Some(vec!["https://other.test/".to_owned()]),
            2 => Some(Vec::new()),
            _ => None,
        };
        let rules = parse_fall_through_prefixes(&script, &scope, &prefixes, origins.as_deref())
            .expect("all of them are below the scope");
        let host = random.pick(&[
            "https://fonts.example.com",
            "https://fonts.example.com:8443",
        ]);
        let asked = Url::parse(&format!("{host}{}", random.path())).expect("a valid URL");
        let request = RequestHead::get(asked.clone(), page.origin.clone());
        let verdict = route(&RouteRequest {
            fall_through: Ok(FallThroughCandidate {
                candidate: Candidate {
                    registration: RegistrationId(7),
                    worker: WorkerId(8),
                    state: WorkerState::Activated,
                    fetch_handler: FetchHandler::Present,
                    stale: false,
                },
                rules: &rules,
                partitioned: false,
            }),
            ..RouteRequest::new(&request, Some(&page), &policy)
        })
        .fall_through;

        let naive = {
            let before_fragment = |url: &str| url.split('#').next().unwrap_or("").to_owned();
            let asked = before_fragment(asked.as_str());
            prefixes.iter().any(|prefix| {
                let prefix = Url::parse("https://fonts.example.com")
                    .and_then(|base| base.join(prefix))
                    .expect("a valid URL");
                asked.starts_with(&before_fragment(prefix.as_str()))
            })
        };
        let admitted = origins.is_none_or(|list| list.iter().any(|it| it == "https://acme.com"));
        match (naive, admitted) {
            (true, true) => {
                assert_eq!(verdict.worker(), Some(WorkerId(8)), "{asked} {prefixes:?}");
                matched += 1;
            }
            (true, false) => {
                assert_eq!(verdict, Verdict::Skip(SkipReason::RequesterNotAdmitted));
            }
            (false, _) => {
                let none = Verdict::Skip(SkipReason::NoPrefix);
                assert_eq!(verdict, none, "{asked} {prefixes:?}");
                missed += 1;
            }
        }
    }
    assert!(matched > 1_000 && missed > 1_000, "{matched} {missed}");
}

#[test]
fn arguments_of_any_shape_give_rules_inside_the_scope_or_an_error() {
    let mut random = Random::seeded();
    let pieces = [
        "https://",
        "fonts.example.com",
        "acme.com",
        "/font/",
        "/",
        "..",
        "\\",
        "//",
        ":",
        "@",
        "#",
        "?",
        "*",
        "%00",
        "\u{0}",
        "\u{202e}",
        "data:,",
        "blob:",
        "javascript:",
        " ",
        "[::1]",
        "é",
        "file:///",
    ];
    let (mut given, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let text = |random: &mut Random| -> String {
            (0..random.below(5)).map(|_| random.pick(&pieces)).collect()
        };
        let script = ScriptUrl::parse("https://fonts.example.com/font/sw.js", None).expect("valid");
        let scope = ScopeUrl::parse("https://fonts.example.com/font/", None).expect("valid");
        let prefixes = [text(&mut random), text(&mut random)];
        let origins = [text(&mut random)];
        let origins = (random.below(2) == 0).then_some(&origins[..]);
        match parse_fall_through_prefixes(&script, &scope, &prefixes, origins) {
            Ok(rules) => {
                given += 1;
                assert_eq!(rules.len(), prefixes.len());
                for rule in rules {
                    assert!(scope.matches(&rule.prefix), "{prefixes:?}: {}", rule.prefix);
                    assert_eq!(rule.prefix.fragment(), None);
                    if let RequesterFilter::Origins(origins) = rule.requesters {
                        assert!(origins.iter().all(|it| !it.is_opaque()), "{origins:?}");
                        assert!(!origins.contains(&Origin::opaque(0)));
                    }
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(given > 100 && refused > 100, "{given} {refused}");
}
