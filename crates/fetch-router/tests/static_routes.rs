//! Static routing, from outside: what `addRoutes()` refuses, what a rule matches, and records.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;
use fetch_router::{
    MAX_DEPTH, RouterCondition, RouterRecordError, RouterRule, RouterRuleError, RouterRules,
    RouterSource, RouterSourceEnum, RunningStatus, UrlPatternArguments, UrlPatternCompatible,
    UrlPatternError, UrlPatternInit, UrlPatternInput,
};
use http::Method;
use sw_types::fetch::{Destination, RequestHead, RequestMode};
use sw_types::{EncodedRouterRule, EventType, EventTypes, Origin, ScriptUrl};
use url::Url;

const SCRIPT: &str = "https://tea.example/js/sw.js";

fn script() -> ScriptUrl {
    ScriptUrl::parse(SCRIPT, None).unwrap()
}

fn verify(condition: RouterCondition) -> Result<RouterRules, RouterRuleError> {
    let source = RouterSource::Network;
    let rule = RouterRule { condition, source };
    RouterRules::verify(vec![rule], &script(), EventTypes::NONE)
}

fn path(pattern: &str) -> RouterCondition {
    RouterCondition {
        url_pattern: Some(UrlPatternCompatible::String(pattern.into())),
        ..RouterCondition::default()
    }
}

fn method(method: &str) -> RouterCondition {
    RouterCondition {
        request_method: Some(method.into()),
        ..RouterCondition::default()
    }
}

fn or(conditions: Vec<RouterCondition>) -> RouterCondition {
    RouterCondition {
        or: Some(conditions),
        ..RouterCondition::default()
    }
}

fn not(condition: RouterCondition) -> RouterCondition {
    RouterCondition {
        not: Some(Box::new(condition)),
        ..RouterCondition::default()
    }
}

fn request(url: &str) -> RequestHead {
    let origin = Origin::of(&Url::parse("https://tea.example/").unwrap());
    RequestHead::get(Url::parse(url).unwrap(), origin)
}

fn matches(condition: RouterCondition, request: &RequestHead) -> bool {
    let rules = verify(condition).unwrap();
    rules.router_source(request, false).is_some()
}

#[test]
fn a_string_and_a_dictionary_are_relative_to_the_script_and_an_object_is_not() {
    let init = UrlPatternInit {
        pathname: Some("/cups/*.png".into()),
        ..UrlPatternInit::default()
    };
    let object = UrlPatternArguments {
        input: UrlPatternInput::Init(init.clone()),
        base_url: None,
        ignore_case: false,
    };
    let table = [
        (UrlPatternCompatible::String("/cups/*.png".into()), false),
        (UrlPatternCompatible::Init(init), false),
        (UrlPatternCompatible::Pattern(object), true),
    ];
    for (pattern, elsewhere) in table {
        let rules = verify(RouterCondition {
            url_pattern: Some(pattern),
            ..RouterCondition::default()
        })
        .unwrap();
        let asked = |url: &str| rules.router_source(&request(url), false).is_some();
        assert!(asked("https://tea.example/cups/1.png"));
        assert!(asked("https://tea.example/cups/a/b.png"));
        assert!(!asked("https://tea.example/cups/1.gif"));
        assert_eq!(asked("https://milk.example/cups/1.png"), elsewhere);
    }
    // A relative path is relative to the script's folder.
    assert!(matches(
        path("*.js"),
        &request("https://tea.example/js/x.js")
    ));
    assert!(!matches(path("*.js"), &request("https://tea.example/x.js")));
}

#[test]
fn a_pattern_that_ignores_case_does_so_in_path_query_and_fragment() {
    let pattern = |ignore_case| RouterCondition {
        url_pattern: Some(UrlPatternCompatible::Pattern(UrlPatternArguments {
            input: UrlPatternInput::Init(UrlPatternInit {
                pathname: Some("/**/GrEeN.TxT".into()),
                search: Some("Q=*".into()),
                ..UrlPatternInit::default()
            }),
            base_url: None,
            ignore_case,
        })),
        ..RouterCondition::default()
    };
    let asked = request("https://tea.example/a/green.txt?q=1");
    assert!(matches(pattern(true), &asked));
    assert!(!matches(pattern(false), &asked));
}

#[test]
fn all_kinds_of_components_match_what_the_standard_says() {
    let table = [
        ("/tea", "/tea", true),
        ("/tea", "/tea/", false),
        // What comes after the last component that is named matches anything.
        ("/tea", "/tea?x", true),
        ("/tea\\?y", "/tea?x", false),
        ("/tea?*", "/tea?x", true),
        ("/:kind/cup", "/green/cup", true),
        ("/:kind/cup", "/green/big/cup", false),
        ("/:kind/cup", "//cup", false),
        ("/tea{/:kind}?", "/tea", true),
        ("/tea{/:kind}?", "/tea/green", true),
        ("/tea/:kinds+", "/tea/green/black", true),
        ("/tea/:kinds+", "/tea", false),
        ("/tea/:kinds*", "/tea", true),
        ("/t*/c*", "/tea/big/cup", true),
        ("/t*/c*", "/milk/cup", false),
        ("/ab*ba", "/aba", false),
        ("/ab*ba", "/abba", true),
        ("/caf\u{e9}", "/caf%C3%A9", true),
        ("/{a}{b}", "/ab", true),
        ("*://*:*/*", "/anything", true),
        ("http://*/*", "/anything", false),
    ];
    for (pattern, target, expected) in table {
        let asked = request(&format!("https://tea.example{target}"));
        assert_eq!(
            matches(path(pattern), &asked),
            expected,
            "{pattern} {target}"
        );
    }
}

#[test]
fn methods_modes_destinations_and_the_running_status_are_compared() {
    let mut asked = request("https://tea.example/");
    asked.method = Method::POST;
    asked.mode = RequestMode::Cors;
    asked.destination = Destination::Style;
    assert!(matches(method("post"), &asked));
    assert!(matches(method("POST"), &asked));
    assert!(!matches(method("GET"), &asked));
    // Only six methods are normalized.
    asked.method = Method::PATCH;
    assert!(!matches(method("patch"), &asked));

    let both = |mode, destination| RouterCondition {
        request_mode: Some(mode),
        request_destination: Some(destination),
        ..RouterCondition::default()
    };
    assert!(matches(both(RequestMode::Cors, Destination::Style), &asked));
    assert!(!matches(
        both(RequestMode::NoCors, Destination::Style),
        &asked
    ));
    assert!(!matches(both(RequestMode::Cors, Destination::None), &asked));

    let rules = |status| {
        verify(RouterCondition {
            running_status: Some(status),
            ..RouterCondition::default()
        })
        .unwrap()
    };
    let asks = |status, running| rules(status).router_source(&asked, running).is_some();
    assert!(asks(RunningStatus::Running, true) && !asks(RunningStatus::Running, false));
    assert!(asks(RunningStatus::NotRunning, false) && !asks(RunningStatus::NotRunning, true));
}

#[test]
fn or_and_not_nest_and_the_first_rule_that_matches_decides() {
    let asked = request("https://tea.example/green");
    assert!(matches(or(vec![path("/black"), path("/green")]), &asked));
    assert!(!matches(or(vec![]), &asked));
    assert!(!matches(not(path("/green")), &asked));
    assert!(matches(not(not(path("/green"))), &asked));
    assert!(matches(
        not(or(vec![path("/black"), not(path("/green"))])),
        &asked
    ));

    let rule = |condition, source| RouterRule { condition, source };
    let rules = RouterRules::verify(
        vec![
            rule(path("/black"), RouterSource::Network),
            rule(path("/g*"), RouterSource::NamedCache("leaves".into())),
            rule(path("/*"), RouterSource::FetchEvent),
        ],
        &script(),
        [EventType::Fetch].into_iter().collect(),
    )
    .unwrap();
    let matched = rules.router_source(&asked, false).unwrap();
    assert_eq!(matched.rule, 1);
    assert_eq!(*matched.source, RouterSource::NamedCache("leaves".into()));
    assert_eq!(matched.source.kind(), RouterSourceEnum::Cache);
    let elsewhere = request("https://milk.example/green");
    assert_eq!(rules.router_source(&elsewhere, false), None);
}

#[test]
fn what_is_not_a_valid_condition_is_refused() {
    use RouterRuleError as Refused;
    let pattern = |pattern: &str| verify(path(pattern)).unwrap_err();
    assert_eq!(
        pattern("/cups/([0-9]+)"),
        Refused::UrlPattern(UrlPatternError::HasRegExpGroups)
    );
    for bad in ["/cups/(", "{", "/:a/:a", "https://[", "/{a"] {
        assert!(
            matches!(
                pattern(bad),
                Refused::UrlPattern(UrlPatternError::Invalid(_))
            ),
            "{bad}"
        );
    }
    assert_eq!(
        pattern(&"/long".repeat(20_000)),
        Refused::UrlPattern(UrlPatternError::TooLong)
    );
    for bad in ["", "(GET|POST)", "G T", "GET\n"] {
        assert_eq!(
            verify(method(bad)).unwrap_err(),
            Refused::InvalidMethod(bad.into())
        );
    }
    for bad in ["connect", "TRACE", "TrAcK"] {
        assert_eq!(
            verify(method(bad)).unwrap_err(),
            Refused::ForbiddenMethod(bad.into())
        );
    }
    let mode = RouterCondition {
        request_mode: Some(RequestMode::WebSocket),
        ..RouterCondition::default()
    };
    assert_eq!(
        verify(mode).unwrap_err(),
        Refused::Mode(RequestMode::WebSocket)
    );
    let destination = RouterCondition {
        request_destination: Some(Destination::ServiceWorker),
        ..RouterCondition::default()
    };
    assert_eq!(
        verify(destination).unwrap_err(),
        Refused::Destination(Destination::ServiceWorker)
    );
    assert_eq!(
        verify(RouterCondition::default()).unwrap_err(),
        Refused::EmptyCondition
    );
    // Within others as well.
    let empty = RouterCondition::default;
    assert_eq!(verify(not(empty())).unwrap_err(), Refused::EmptyCondition);
    let inner = or(vec![path("/"), not(empty())]);
    assert_eq!(verify(inner).unwrap_err(), Refused::EmptyCondition);
    let mut beside = or(vec![path("/")]);
    beside.request_method = Some("GET".into());
    assert_eq!(verify(beside).unwrap_err(), Refused::NotAlone("or"));
    let mut beside = not(path("/"));
    beside.running_status = Some(RunningStatus::Running);
    assert_eq!(verify(beside).unwrap_err(), Refused::NotAlone("not"));
    let mut beside = or(vec![]);
    beside.not = Some(Box::new(path("/")));
    assert_eq!(verify(beside).unwrap_err(), Refused::NotAlone("not"));
}

#[test]
fn sources_that_ask_the_worker_need_a_fetch_listener() {
    let rule = |source| RouterRule {
        condition: path("/*"),
        source,
    };
    for source in [
        RouterSource::FetchEvent,
        RouterSource::RaceNetworkAndFetchHandler,
    ] {
        let kind = source.kind();
        let rules = || vec![rule(RouterSource::Network), rule(source.clone())];
        assert_eq!(
            RouterRules::verify(rules(), &script(), EventTypes::NONE).unwrap_err(),
            RouterRuleError::NoFetchListener(kind)
        );
        let listens = [EventType::Fetch].into_iter().collect();
        assert_eq!(
            RouterRules::verify(rules(), &script(), listens)
                .unwrap()
                .len(),
            2
        );
    }
}

#[test]
fn ten_conditions_may_nest_and_1024_may_be_there() {
    let nested = |depth: usize, wrap: fn(RouterCondition) -> RouterCondition| {
        (1..depth).fold(path("/"), |inner, _| wrap(inner))
    };
    for wrap in [not, |inner| or(vec![inner])] {
        verify(nested(10, wrap)).unwrap();
        assert_eq!(
            verify(nested(11, wrap)).unwrap_err(),
            RouterRuleError::TooDeep
        );
        assert_eq!(
            verify(nested(3_000, wrap)).unwrap_err(),
            RouterRuleError::TooDeep
        );
    }
    let many = |count| or((1..count).map(|_| method("GET")).collect());
    verify(many(1024)).unwrap();
    assert_eq!(verify(many(1025)).unwrap_err(), RouterRuleError::TooMany);
    let rules = |count| {
        let rule = |_| RouterRule {
            condition: path("/leaf-*"),
            source: RouterSource::Network,
        };
        RouterRules::verify((0..count).map(rule).collect(), &script(), EventTypes::NONE)
    };
    let encoded = rules(1024).unwrap().encode();
    assert_eq!(
        encoded.iter().map(|rule| rule.conditions).sum::<u32>(),
        1024
    );
    assert_eq!(rules(1025).unwrap_err(), RouterRuleError::TooMany);
}

#[test]
fn a_record_says_what_its_rule_said() {
    let seed = RandomState::new().hash_one(1);
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    for _ in 0..300 {
        let rules = random.rules();
        let read = RouterRules::decode(&rules.encode()).unwrap();
        assert_eq!(read.encode(), rules.encode());
        for _ in 0..20 {
            let (asked, running) = (random.request(), random.below(2) == 0);
            assert_eq!(
                read.router_source(&asked, running),
                rules.router_source(&asked, running),
                "{asked:?}"
            );
        }
    }
}

#[test]
fn a_damaged_record_is_refused_or_is_a_rule_that_can_be_written_again() {
    let seed = RandomState::new().hash_one(2);
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let mut read = 0;
    for _ in 0..4_000 {
        let mut records = random.rules().encode();
        let at = random.below(records.len());
        let mut bytes = records[at].rule.to_vec();
        for _ in 0..=random.below(4) {
            let position = random.below(bytes.len());
            match random.below(5) {
                0 => bytes.insert(position, random.byte()),
                1 if bytes.len() > 1 => drop(bytes.remove(position)),
                2 => bytes[position] ^= 1 << random.below(8),
                3 => bytes.truncate(position.max(1)),
                _ => bytes[position] = random.byte(),
            }
        }
        records[at].rule = Bytes::from(bytes);
        let Ok(rules) = RouterRules::decode(&records) else {
            continue;
        };
        read += 1;
        let asked = random.request();
        let matched = rules.router_source(&asked, true);
        let again = RouterRules::decode(&rules.encode()).unwrap();
        assert_eq!(again.router_source(&asked, true), matched);
    }
    assert!(read > 0, "a mutation of a string is still a record");
}

#[test]
fn records_are_no_way_around_the_rules() {
    let record = |bytes: Vec<u8>, conditions| {
        let rule = Bytes::from(bytes);
        RouterRules::decode(&[EncodedRouterRule { conditions, rule }]).unwrap_err()
    };
    assert_eq!(record(vec![], 1), RouterRecordError::Damaged);
    assert_eq!(record(vec![9, 1], 1), RouterRecordError::Version(9));
    // A hundred `not`s: a list, so no stack is needed to read it.
    let mut deep = vec![1, 100];
    deep.extend([1; 100]);
    deep.push(0);
    assert_eq!(
        record(deep, 100),
        RouterRecordError::Invalid(RouterRuleError::TooDeep)
    );
    // An `or` of four milliards.
    let liar = vec![1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert_eq!(record(liar, 1), RouterRecordError::Damaged);
    // One condition that says nothing.
    let empty = vec![1, 1, 2, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        record(empty.clone(), 1),
        RouterRecordError::Invalid(RouterRuleError::EmptyCondition)
    );
    // The count beside the record is checked against it.
    assert_eq!(record(empty, 2), RouterRecordError::Damaged);
    let mut good = verify(path("/")).unwrap().encode();
    let mut longer = good[0].rule.to_vec();
    longer.push(0);
    good[0].rule = longer.into();
    assert_eq!(
        RouterRules::decode(&good).unwrap_err(),
        RouterRecordError::Damaged
    );
}

#[test]
fn no_pattern_makes_anything_panic() {
    let seed = RandomState::new().hash_one(3);
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let mut accepted = 0;
    for _ in 0..6_000 {
        let pattern = random.pattern();
        if let Ok(rules) = verify(RouterCondition {
            url_pattern: Some(pattern),
            ..RouterCondition::default()
        }) {
            accepted += 1;
            let asked = random.request();
            let _matched = rules.router_source(&asked, false);
        }
    }
    assert!(accepted > 100, "only {accepted} were patterns");
}

#[test]
fn no_rule_of_any_shape_panics_or_passes_a_limit() {
    let seed = RandomState::new().hash_one(4);
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..4_000 {
        let condition = random.any_condition(14);
        let rule = RouterRule {
            condition: condition.clone(),
            source: RouterSource::Network,
        };
        let rules = match RouterRules::verify(vec![rule], &script(), EventTypes::NONE) {
            Ok(rules) => rules,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        accepted += 1;
        assert!(depth(&condition) <= MAX_DEPTH, "{condition:?}");
        let asked = random.request();
        let _matched = rules.router_source(&asked, false);
        let again = RouterRules::decode(&rules.encode()).unwrap();
        assert_eq!(
            again.router_source(&asked, false),
            rules.router_source(&asked, false)
        );
    }
    assert!(accepted > 100 && refused > 100, "{accepted} and {refused}");
}

/// How many conditions lie within one another.
fn depth(condition: &RouterCondition) -> usize {
    let inner = condition
        .or
        .iter()
        .flatten()
        .chain(condition.not.as_deref());
    1 + inner.map(depth).max().unwrap_or(0)
}

struct Random(u64);

impl Random {
    /// A condition that may be valid or not, and too deep.
    fn any_condition(&mut self, depth: usize) -> RouterCondition {
        let nests = depth > 0 && self.below(8) < 7;
        let (or, not) = match self.below(2) {
            0 if nests => {
                let count = 1 + usize::from(self.below(6) == 0) * self.below(3);
                let inner = (0..count).map(|_| self.any_condition(depth - 1));
                (Some(inner.collect()), None)
            }
            _ if nests => (None, Some(Box::new(self.any_condition(depth - 1)))),
            _ => (None, None),
        };
        // A condition that nests says nothing else, as a rule.
        let mut says = |one_in: usize| self.below(if nests { 200 } else { one_in }) == 0;
        let (pattern, method, mode, status) = (says(2), says(4), says(4), says(4));
        RouterCondition {
            url_pattern: pattern.then(|| self.pattern()),
            request_method: method.then(|| self.text().into_bytes()),
            request_mode: mode.then_some(RequestMode::Cors),
            running_status: status.then_some(RunningStatus::Running),
            or,
            not,
            ..RouterCondition::default()
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn request(&mut self) -> RequestHead {
        const URLS: &[&str] = &[
            "https://tea.example/",
            "https://tea.example/cups/1.png",
            "https://tea.example/js/cups/a/b.png?x=1#top",
            "https://milk.example:8443/Cups/",
            "http://u:p@[::1]:8080/a%20b?",
            "https://tea.example//../%zz",
        ];
        let mut head = request(self.pick(URLS));
        head.method = self.pick(&[Method::GET, Method::POST]);
        head.mode = self.pick(&[RequestMode::Cors, RequestMode::Navigate]);
        head.destination = self.pick(&[Destination::None, Destination::Image]);
        head
    }

    /// Text that looks like a pattern, or not.
    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "/",
            "*",
            ":kind",
            "{",
            "}",
            "?",
            "+",
            "(",
            ")",
            ".*",
            "cups",
            ".png",
            "\\",
            "#",
            "@",
            "https",
            "://",
            "tea.example",
            ":",
            "[",
            "]",
            "::1",
            "%",
            "\u{e9}",
            "\u{1f375}",
            " ",
            "1",
            "..",
            "{/a}?",
            "\0",
            "^",
            "$",
            "|",
            ":\u{e9}",
            "8080",
            "xn--",
            "\u{fffd}",
        ];
        (0..self.below(8)).map(|_| self.pick(PIECES)).collect()
    }

    fn member(&mut self) -> Option<String> {
        (self.below(3) == 0).then(|| self.text())
    }

    fn init(&mut self) -> UrlPatternInit {
        UrlPatternInit {
            protocol: self.member(),
            username: self.member(),
            password: self.member(),
            hostname: self.member(),
            port: self.member(),
            pathname: self.member(),
            search: self.member(),
            hash: self.member(),
            base_url: (self.below(4) == 0).then(|| SCRIPT.to_owned()),
        }
    }

    fn pattern(&mut self) -> UrlPatternCompatible {
        match self.below(4) {
            0 => UrlPatternCompatible::String(self.text()),
            1 => UrlPatternCompatible::String(format!("/{}", self.text())),
            2 => UrlPatternCompatible::Init(self.init()),
            _ => UrlPatternCompatible::Pattern(UrlPatternArguments {
                input: UrlPatternInput::Init(self.init()),
                base_url: None,
                ignore_case: self.below(2) == 0,
            }),
        }
    }

    fn good_pattern(&mut self) -> UrlPatternCompatible {
        const PATTERNS: &[&str] = &[
            "/cups/*.png",
            "/:a",
            "/**/b.png",
            "*",
            "*.js",
            "a\\?x=*",
            "top",
        ];
        let pathname = self.pick(PATTERNS).to_owned();
        match self.below(3) {
            0 => UrlPatternCompatible::String(pathname),
            1 => UrlPatternCompatible::Init(UrlPatternInit {
                hash: Some(pathname),
                ..UrlPatternInit::default()
            }),
            _ => UrlPatternCompatible::Pattern(UrlPatternArguments {
                input: UrlPatternInput::Init(UrlPatternInit {
                    pathname: Some(pathname),
                    ..UrlPatternInit::default()
                }),
                base_url: None,
                ignore_case: self.below(2) == 0,
            }),
        }
    }

    fn condition(&mut self, depth: usize) -> RouterCondition {
        match self.below(if depth == 0 { 1 } else { 3 }) {
            1 => or((0..self.below(4))
                .map(|_| self.condition(depth - 1))
                .collect()),
            2 => not(self.condition(depth - 1)),
            _ => RouterCondition {
                url_pattern: (self.below(2) == 0).then(|| self.good_pattern()),
                request_method: (self.below(3) == 0).then(|| self.pick(&["get", "PURGE"]).into()),
                request_mode: (self.below(3) == 0).then_some(RequestMode::Cors),
                request_destination: Some(self.pick(&[Destination::None, Destination::Image])),
                running_status: (self.below(4) == 0).then_some(RunningStatus::Running),
                ..RouterCondition::default()
            },
        }
    }

    fn rules(&mut self) -> RouterRules {
        let sources = [
            RouterSource::Network,
            RouterSource::Cache,
            RouterSource::NamedCache("leaves".into()),
            RouterSource::FetchEvent,
            RouterSource::RaceNetworkAndFetchHandler,
        ];
        let rules = (0..=self.below(4)).map(|_| RouterRule {
            condition: self.condition(4),
            source: self.pick(&sources),
        });
        let rules = rules.collect();
        let listens = [EventType::Fetch].into_iter().collect();
        RouterRules::verify(rules, &script(), listens).unwrap()
    }
}
