//! `URLPattern`.

use serde_json::json;

use super::stand::evaluate;

#[test]
fn a_pattern_is_made_of_a_string_of_a_dictionary_and_with_a_base() {
    assert_eq!(
        evaluate(
            "const parts = (...given) => {
                const pattern = new URLPattern(...given);
                return [pattern.protocol, pattern.hostname, pattern.port, pattern.pathname, pattern.search, pattern.hash].join(' ');
            };
            [
                parts(), parts('https://tea.test:443/cups/:kind\\\\?q=*'), parts('/cups/*', 'https://tea.test'),
                parts({ pathname: '/a', baseURL: 'https://tea.test/b?c' }), parts({ hostname: 'TEA.test' }, { ignoreCase: true }),
                parts('/a', 'https://tea.test', { ignoreCase: true }), parts(undefined, undefined),
            ]"
        ),
        json!([
            "* * * * * *",
            "https tea.test  /cups/:kind q=* *",
            "https tea.test  /cups/* * *",
            "https tea.test  /a * *",
            "* tea.test * * * *",
            "https tea.test  /a * *",
            "* * * * * *",
        ])
    );
}

#[test]
fn a_match_gives_the_groups_of_each_component() {
    assert_eq!(
        evaluate(
            "const pattern = new URLPattern('/:kind/{:size}?x*', 'https://tea.test');
            const found = pattern.exec('https://tea.test/green/x?q#top');
            const { inputs, pathname, search, hash } = pattern.exec('/green/bigx1', 'https://tea.test');
            const init = { pathname: '/a/b' };
            const given = new URLPattern({ pathname: '/*/:b' }).exec(init);
            [
                Object.keys(found), found.pathname.groups, 'size' in found.pathname.groups, found.search, found.hash,
                inputs, pathname, given.inputs[0] !== init && given.inputs, given.pathname.groups,
                pattern.exec('https://milk.test/green/x'), pattern.test('https://tea.test/green/x'), pattern.test('nonsense'),
                pattern.test(), new URLPattern().test(), new URLPattern().test({ pathname: 'a', baseURL: 'nonsense' }),
            ]"
        ),
        json!([
            [
                "hash", "hostname", "inputs", "password", "pathname", "port", "protocol", "search",
                "username"
            ],
            { "kind": "green", "size": null, "0": "" },
            true,
            { "groups": { "0": "q" }, "input": "q" },
            { "groups": { "0": "top" }, "input": "top" },
            ["/green/bigx1", "https://tea.test"],
            { "groups": { "kind": "green", "size": "big", "0": "1" }, "input": "/green/bigx1" },
            [{ "pathname": "/a/b" }],
            { "0": "a", "b": "b" },
            null,
            true,
            false,
            false,
            true,
            false,
        ])
    );
}

#[test]
fn groups_with_regular_expressions_are_the_engines() {
    assert_eq!(
        evaluate(
            "const digits = new URLPattern({ pathname: '/cups/:n(\\\\d+)' });
            const cased = (ignoreCase) => new URLPattern({ pathname: '/CUPS', hostname: 'x-y.test' }, { ignoreCase }).test('https://x-y.test/cups');
            [
                digits.hasRegExpGroups, new URLPattern({ pathname: '/:a/*' }).hasRegExpGroups,
                digits.test({ pathname: '/cups/12' }), digits.test({ pathname: '/cups/a' }), digits.exec({ pathname: '/cups/12' }).pathname.groups,
                new URLPattern({ pathname: '/([a-c]-[:x]::y&&z)' }).test({ pathname: '/b-:::y&&z' }),
                cased(true), cased(false),
            ]"
        ),
        json!([true, false, true, false, { "n": "12" }, true, true, false])
    );
}

#[test]
fn what_is_no_pattern_is_a_type_error() {
    assert_eq!(
        evaluate(
            "[
                () => new URLPattern('/relative'), () => new URLPattern('/a', 'nonsense'), () => new URLPattern({ pathname: '/(' }),
                () => new URLPattern({ pathname: '/([z-a])' }), () => new URLPattern({ pathname: '/:a/:a' }), () => new URLPattern({ port: 'x' }),
                () => new URLPattern({}, 'https://tea.test'), () => new URLPattern(Symbol()), () => new URLPattern('https://a.test', undefined, {}),
                () => new URLPattern({ pathname: '/(é)' }), () => new URLPattern().test({}, 'https://tea.test'),
                () => URLPattern({}), () => URLPattern.prototype.pathname, () => URLPattern.prototype.exec.call({}),
            ].map((f) => { try { f(); return 'nothing'; } catch (error) { return error.name; } })"
        ),
        json!(vec!["TypeError"; 14])
    );
}

#[test]
fn patterns_look_as_web_idl_says() {
    assert_eq!(
        evaluate(
            "[
                URLPattern.length, String(new URLPattern()), Object.keys(URLPattern.prototype).sort(),
                URLPattern.prototype.exec.length, URLPattern.prototype.test.length,
            ]"
        ),
        json!([
            0,
            "[object URLPattern]",
            [
                "exec", "hasRegExpGroups", "hash", "hostname", "password", "pathname", "port",
                "protocol", "search", "test", "username"
            ],
            0,
            0
        ])
    );
}
