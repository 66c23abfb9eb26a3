//! `caches` and `Cache`.

use serde_json::json;
use service_worker::types::{ClientId, Environment, PartitionPolicy};
use url::Url;

use super::super::tests::{OPEN, Table};
use super::Browser;
use crate::cache_storage::CacheStore;

fn browser() -> Browser {
    Browser::new(
        Table::default()
            .with("https://a.test/x", 200, &[("x-a", "1")])
            .with("https://a.test/y", 200, &[])
            .with("https://a.test/missing", 404, &[])
            .with("https://a.test/part", 206, &[])
            .with("https://a.test/any", 200, &[("vary", "accept, *")])
            .with("https://b.test/open", 200, &[OPEN, ("x-hidden", "1")])
            .with("https://b.test/closed", 200, &[])
            .with(
                "https://b.test/own",
                200,
                &[("cross-origin-resource-policy", "cross-origin")],
            ),
    )
}

/// Statements that begin with an empty cache.
fn in_cache(browser: &Browser, statements: &str) -> serde_json::Value {
    browser.run_async(&format!(
        "await caches.delete('c'); const cache = await caches.open('c'); {statements}"
    ))
}

#[test]
fn caches_are_opened_found_and_deleted_by_name() {
    let browser = browser();
    let names = "await caches.open('b'); await caches.open('a'); await caches.open('b');
        return [await caches.keys(), await caches.has('a'), await caches.has('c'),
                await caches.delete('a'), await caches.delete('a'), await caches.keys()];";
    assert_eq!(
        browser.run_async(names),
        json!([["b", "a"], true, false, true, false, ["b"]])
    );
    let shape =
        "return [String(caches), caches instanceof CacheStorage, String(await caches.open('b')),
        (await caches.open('b')) instanceof Cache];";
    assert_eq!(
        browser.run_async(shape),
        json!(["[object CacheStorage]", true, "[object Cache]", true])
    );
}

#[test]
fn what_was_put_is_found_with_its_head_and_body() {
    let browser = browser();
    let found = "await cache.put('/p', new Response('P', { status: 201, statusText: 'Yes', headers: { 'x-a': '\\u00ff' } }));
        const r = await cache.match('/p#fragment'), all = await caches.match('/p');
        return [r.type, r.url, r.status, r.statusText, r.headers.get('x-a'), await r.text(), await all.text(),
                await cache.match('/q'), await caches.match('/p', { cacheName: 'none' })];";
    assert_eq!(
        in_cache(&browser, found),
        json!(["default", "", 201, "Yes", "\u{ff}", "P", "P", null, null])
    );
    let read_twice = "await cache.put('/p', new Response('P'));
        return [await (await cache.match('/p')).text(), await (await cache.match('/p')).text()];";
    assert_eq!(in_cache(&browser, read_twice), json!(["P", "P"]));
    let replaced =
        "await cache.put('/p', new Response('1')); await cache.put('/p', new Response('2'));
        return [(await cache.keys()).length, await (await cache.match('/p')).text()];";
    assert_eq!(in_cache(&browser, replaced), json!([1, "2"]));
    let immutable = "await cache.put('/p', new Response('1')); (await cache.match('/p')).headers.set('a', 'b');";
    assert_eq!(in_cache(&browser, immutable), json!("throws TypeError"));
}

#[test]
fn query_options_widen_what_matches() {
    let browser = browser();
    let table = [
        ("cache.match('/p')", json!(false)),
        ("cache.match('/p', { ignoreSearch: true })", json!(false)),
        (
            "cache.match('/p', { ignoreSearch: true, ignoreVary: true })",
            json!(true),
        ),
        (
            "cache.match(new Request('/p?q', { headers: { a: '1' } }))",
            json!(true),
        ),
        (
            "cache.match(new Request('/p?q', { headers: { a: '2' } }))",
            json!(false),
        ),
        (
            "cache.match(new Request('/p?q', { headers: { a: '2' } }), { ignoreVary: 1 })",
            json!(true),
        ),
        (
            "cache.match(new Request('/p?q', { method: 'POST', headers: { a: '1' } }))",
            json!(false),
        ),
        (
            "cache.match(new Request('/p?q', { method: 'POST', headers: { a: '1' } }), { ignoreMethod: true })",
            json!(true),
        ),
    ];
    for (query, expected) in table {
        let script = format!(
            "await cache.put(new Request('/p?q', {{ headers: {{ a: '1' }} }}), new Response('P', {{ headers: {{ vary: 'A' }} }}));
             return (await {query}) !== undefined;"
        );
        assert_eq!(in_cache(&browser, &script), expected, "{query}");
    }
    let options = "await cache.match('/p', 1)";
    assert_eq!(in_cache(&browser, options), json!("throws TypeError"));
}

#[test]
fn all_entries_are_listed_in_order_and_deleted_one_by_one() {
    let browser = browser();
    let list = "await cache.addAll(['/y', new Request('/x', { headers: { accept: 'a' } })]);
        const keys = await cache.keys();
        return [keys.map(k => [new URL(k.url).pathname, k.method, k.headers.get('accept')]), (await cache.matchAll()).length,
                (await cache.matchAll('/x')).length, (await cache.keys('/y')).length,
                await cache.delete('/y'), await cache.delete('/y'), (await cache.keys()).length,
                (await cache.matchAll(new Request('/x', { method: 'POST' }))).length];";
    assert_eq!(
        in_cache(&browser, list),
        json!([
            [["/y", "GET", null], ["/x", "GET", "a"]],
            2,
            1,
            1,
            true,
            false,
            1,
            0
        ])
    );
}

#[test]
fn add_all_stores_all_or_nothing() {
    let browser = browser();
    for bad in [
        "'/missing'",
        "'/part'",
        "'/any'",
        "'/nowhere'",
        "'data:,x'",
        "new Request('/x', { method: 'POST' })",
        "'http://['",
        "new Request('https://b.test/closed', { mode: 'no-cors' })",
    ] {
        let script = format!(
            "let error; try {{ await cache.addAll(['/x', {bad}]); }} catch (e) {{ error = e.name; }}
             return [error, (await cache.keys()).length];"
        );
        assert_eq!(
            in_cache(&browser, &script),
            json!(["TypeError", 0]),
            "{bad}"
        );
    }
    let twice = "let error; try { await cache.addAll(['/x', '/x']); } catch (e) { error = [e.name, e instanceof DOMException]; }
        return [error, (await cache.keys()).length];";
    assert_eq!(
        in_cache(&browser, twice),
        json!([["InvalidStateError", true], 0])
    );
    assert_eq!(
        in_cache(&browser, "await cache.addAll([]); return 1;"),
        json!(1)
    );
    assert_eq!(
        in_cache(&browser, "await cache.addAll(5);"),
        json!("throws TypeError")
    );
}

#[test]
fn what_cannot_be_put_is_a_type_error() {
    let browser = browser();
    for (request, response) in [
        ("'ftp://a.test/'", "new Response()"),
        ("new Request('/p', { method: 'POST' })", "new Response()"),
        ("'/p'", "new Response(null, { status: 206 })"),
        ("'/p'", "new Response('', { headers: { vary: 'a, *' } })"),
        ("'/p'", "{}"),
        ("'http://['", "new Response()"),
    ] {
        let script = format!("await cache.put({request}, {response});");
        assert_eq!(
            in_cache(&browser, &script),
            json!("throws TypeError"),
            "{request} {response}"
        );
    }
    let used = "const r = new Response('x'); await r.text(); await cache.put('/p', r);";
    assert_eq!(in_cache(&browser, used), json!("throws TypeError"));
    let uses = "const r = new Response('x'); await cache.put('/p', r); return r.bodyUsed;";
    assert_eq!(in_cache(&browser, uses), json!(true));
    for script in [
        "new Cache()",
        "new CacheStorage()",
        "await Cache.prototype.match.call({}, 'x')",
        "await caches.open()",
        "await caches.open(Symbol())",
    ] {
        assert_eq!(browser.eval(script), json!("throws TypeError"), "{script}");
    }
}

#[test]
fn a_filtered_response_keeps_its_filter_and_what_is_under_it() {
    let browser = browser();
    let put = |options: &str, url: &str| {
        let script = format!(
            "await cache.put('/p', await fetch('{url}', {options})); const r = await cache.match('/p');
             return [r.type, r.url, r.status, [...r.headers.keys()], await r.text()];"
        );
        in_cache(&browser, &script)
    };
    assert_eq!(
        put("{}", "/x"),
        json!(["basic", "https://a.test/x", 200, ["x-a"], "body"])
    );
    assert_eq!(
        put("{}", "https://b.test/open"),
        json!(["cors", "https://b.test/open", 200, [], "body"])
    );
    assert_eq!(
        put("{ mode: 'no-cors' }", "https://b.test/closed"),
        json!(["opaque", "", 0, [], ""])
    );
    assert_eq!(
        put("{ mode: 'no-cors' }", "https://b.test/own"),
        json!(["opaque", "", 0, [], ""])
    );
}

#[test]
fn caches_are_their_storage_keys_and_nobody_elses() {
    let store = CacheStore::in_memory().unwrap();
    let page = |url: &str, change: fn(&mut Environment)| {
        let mut environment = Environment::top_level(ClientId(1), Url::parse(url).unwrap());
        change(&mut environment);
        let partition = PartitionPolicy::ByTopLevelSite;
        Browser::with(environment, Table::default(), store.clone(), partition)
    };
    let one = page("https://a.test/", |_| {});
    let same = page("https://a.test/other", |_| {});
    let other = page("https://b.test/", |_| {});
    let framed = page("https://a.test/", |environment| {
        environment.cross_site_ancestor = true
    });
    let blocked = page("https://a.test/", |environment| {
        environment.storage_blocked = true
    });
    one.run_async("await (await caches.open('c')).put('/p', new Response('P'));");
    assert_eq!(same.eval("await caches.keys()"), json!(["c"]));
    assert_eq!(other.eval("await caches.keys()"), json!([]));
    assert_eq!(framed.eval("await caches.keys()"), json!([]));
    for call in [
        "keys()",
        "open('c')",
        "has('c')",
        "match('/p')",
        "delete('c')",
    ] {
        assert_eq!(
            blocked.eval(&format!("await caches.{call}")),
            json!("throws SecurityError"),
            "{call}"
        );
    }
}

#[test]
fn a_deleted_cache_stays_usable_for_who_has_opened_it() {
    let browser = browser();
    let script = "await cache.put('/p', new Response('1')); await caches.delete('c');
        const other = await caches.open('c');
        return [await (await cache.match('/p')).text(), (await other.keys()).length];";
    assert_eq!(in_cache(&browser, script), json!(["1", 0]));
}

#[test]
fn a_cache_may_have_any_name_also_one_that_is_no_unicode() {
    let browser = browser();
    let names = r"const names = ['\ud800', '\udc00\u{10ffff}', '\u{10ffff}d800', '\u{1f600}', ''];
        for (const name of names) await caches.open(name);
        const known = await caches.keys();
        const all = names.every(name => known.includes(name)) && known.length;
        return [all, await caches.has('\ud800'), await caches.has('\ufffd'), await caches.delete('\ud800'), await caches.has('\ud800')];";
    let expected = json!([6, true, false, true, false]);
    assert_eq!(in_cache(&browser, names), expected);
}

#[test]
fn what_is_aborted_or_the_same_twice_is_not_added() {
    let browser = browser();
    for (add, expected) in [
        (
            "cache.add(new Request('/x', { signal: AbortSignal.abort() }))",
            "throws AbortError",
        ),
        (
            "(() => { const c = new AbortController(); const added = cache.add(new Request('/x', { signal: c.signal })); c.abort(); return added; })()",
            "throws AbortError",
        ),
        (
            "cache.addAll(['/missing', '/missing#other'])",
            "throws InvalidStateError",
        ),
    ] {
        assert_eq!(
            in_cache(&browser, &format!("await {add}")),
            json!(expected),
            "{add}"
        );
    }
}

#[test]
fn a_script_learns_what_it_stores_and_what_it_may() {
    let store = CacheStore::in_memory().unwrap();
    drop(store.set_quota(5000));
    let page = |environment: Environment| {
        let partition = PartitionPolicy::ByTopLevelSite;
        Browser::with(environment, Table::default(), store.clone(), partition)
    };
    let own = Environment::top_level(ClientId(1), Url::parse("https://a.test/").unwrap());
    let blocked = Environment {
        storage_blocked: true,
        ..own.clone()
    };
    let browser = page(own);
    let script = "const { storage } = navigator, before = await storage.estimate();
        await cache.put('/p', new Response('x'.repeat(2000)));
        const { usage, quota, usageDetails } = await storage.estimate();
        let refused; try { await cache.put('/q', new Response('x'.repeat(3500))); } catch (error) { refused = [error.name, error instanceof Error]; }
        return [before, usage - 1000 === usageDetails.caches, usageDetails.caches > 2000 && usageDetails.caches < 2200, usageDetails.serviceWorkerRegistrations,
            quota, refused, (await storage.estimate()).usage === usage, await storage.persisted(), await storage.persist(),
            storage === navigator.storage, String(storage)];";
    assert_eq!(
        in_cache(&browser, script),
        json!([
            { "quota": 5000, "usage": 1000, "usageDetails": { "serviceWorkerRegistrations": 1000 } },
            true, true, 1000, 5000, ["QuotaExceededError", true], true, false, false, true, "[object StorageManager]"
        ])
    );
    let blocked = page(blocked);
    for call in ["estimate()", "persisted()", "persist()"] {
        let given = blocked.eval(&format!("await navigator.storage.{call}"));
        assert_eq!(given, json!("throws TypeError"), "{call}");
    }
}
