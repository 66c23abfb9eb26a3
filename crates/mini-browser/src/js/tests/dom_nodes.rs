//! Nodes: how trees change, what refuses to, what sees it, and how nodes are found and written down.

use serde_json::{Value, json};

use super::dom_documents::in_page;

const HTML: &str = "<!doctype html><body><div id=a class='x y'><p id=b>one</p><p id=c lang=en-GB>two<span>three</span></p></div><ul id=list></ul>";

fn given(script: &str) -> Value {
    let script = format!(
        "const byId = (id) => document.getElementById(id);
         const thrown = (run) => {{ try {{ run(); return 'nothing'; }} catch (error) {{ return error.name; }} }};
         {script}"
    );
    in_page(HTML, &script)
}

#[test]
fn nodes_are_put_in_taken_out_and_moved() {
    assert_eq!(
        given(
            "const list = byId('list');
             const items = ['x', 'y', 'z'].map((text) => Object.assign(document.createElement('li'), { textContent: text }));
             list.append(...items, 'text');
             list.insertBefore(items[2], items[0]);
             items[1].replaceWith('-', document.createElement('hr'));
             list.lastChild.before(new Comment('c'));
             const fragment = document.createDocumentFragment();
             fragment.append('f1', 'f2');
             list.prepend(fragment);
             const before = list.innerHTML;
             list.normalize();
             const { length } = list.childNodes;
             list.replaceChildren('only');
             [before, length, list.innerHTML, fragment.childNodes.length, items[1].parentNode, items[0].isConnected]"
        ),
        json!([
            "f1f2<li>z</li><li>x</li>-<hr><!--c-->text",
            7,
            "only",
            0,
            null,
            false
        ])
    );
}

#[test]
fn what_would_be_no_tree_is_refused() {
    assert_eq!(
        given(
            "const [a, b] = [byId('a'), byId('b')];
             [
                thrown(() => b.append(a)), thrown(() => a.appendChild(a)), thrown(() => a.insertBefore(b, byId('list'))),
                thrown(() => a.removeChild(byId('list'))), thrown(() => document.append('text')), thrown(() => document.append(b)),
                thrown(() => document.appendChild(document.implementation.createDocumentType('html', '', ''))),
                thrown(() => new Text('t').appendChild(b)), thrown(() => a.appendChild(document)), thrown(() => a.appendChild(null)),
                thrown(() => a.appendChild({})), thrown(() => document.createElement('1')), thrown(() => document.createElementNS(null, 'a:b')),
                thrown(() => a.setAttribute('a=b', '')), thrown(() => a.classList.add('')), thrown(() => a.classList.add('a b')),
                thrown(() => new Text('abc').splitText(4)), thrown(() => Node.prototype.appendChild.call({}, b)), thrown(() => new Node()),
                thrown(() => Node.prototype.nodeType), thrown(() => document.adoptNode(document)), thrown(() => a.insertAdjacentHTML('x', '')),
                a.contains(b) && b.parentNode === a,
             ]"
        ),
        json!([
            "HierarchyRequestError",
            "HierarchyRequestError",
            "NotFoundError",
            "NotFoundError",
            "HierarchyRequestError",
            "HierarchyRequestError",
            "HierarchyRequestError",
            "HierarchyRequestError",
            "HierarchyRequestError",
            "TypeError",
            "TypeError",
            "InvalidCharacterError",
            "NamespaceError",
            "InvalidCharacterError",
            "SyntaxError",
            "InvalidCharacterError",
            "IndexSizeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "NotSupportedError",
            "SyntaxError",
            true
        ])
    );
}

#[test]
fn collections_are_live_and_queries_are_not() {
    assert_eq!(
        given(
            "const live = document.getElementsByTagName('p'), found = document.querySelectorAll('p'), { children } = byId('a');
             const before = [live.length, found.length, children.length, children.b === byId('b'), 'c' in children, Object.keys(children)];
             byId('b').remove();
             [before, live.length, found.length, children.length, children.b ?? null, live[0].id, [...live].length, live.item(9), live[9] ?? null,
                document.getElementsByClassName('y x').length, String(live), byId('a').childNodes === byId('a').childNodes]"
        ),
        json!([
            [2, 2, 2, true, true, ["0", "1"]],
            1,
            2,
            1,
            null,
            "c",
            1,
            null,
            null,
            1,
            "[object HTMLCollection]",
            true
        ])
    );
}

#[test]
fn selectors_find_what_they_say() {
    let ids = |selector: &str| {
        given(&format!(
            "[...document.querySelectorAll({selector:?})].map((element) => element.id || element.localName)"
        ))
    };
    for (selector, expected) in [
        ("p", json!(["b", "c"])),
        ("#a > p:first-child", json!(["b"])),
        ("p + p, ul", json!(["c", "list"])),
        ("P ~ p", json!(["c"])),
        ("div.x.y p:not(#b)", json!(["c"])),
        ("[class~=y]", json!(["a"])),
        ("[ID^='li' i]", json!(["list"])),
        ("p:nth-child(2n+1), p:nth-last-child(1)", json!(["b", "c"])),
        (":is(#b, ul):where(*)", json!(["b", "list"])),
        ("div:has(> p span)", json!(["a"])),
        ("ul:empty", json!(["list"])),
        ("p:lang(en)", json!(["c"])),
        ("*|p:only-of-type", json!([])),
        ("#\\61 ", json!(["a"])),
        (":is(:nonsense, #b)", json!(["b"])),
        ("p::before", json!([])),
        (":root > body", json!(["body"])),
    ] {
        assert_eq!(ids(selector), expected, "{selector}");
    }
    assert_eq!(
        given(
            "['', 'p:', '>p', 'p,', '[x', 'a||b', ':nonsense', '#1', '.', 'p::', ':not(', 'p{}', ':nth-child(x)', 'x|y', '[a=b c]', '(' ].map((bad) => thrown(() => document.querySelector(bad)))
                .filter((name) => name !== 'SyntaxError').length"
        ),
        json!(1),
        "only an attribute selector whose end is missing is completed by the end"
    );
    assert_eq!(
        given(
            "[byId('c').closest('.x').id, byId('b').matches('div p'), byId('a').querySelector(':scope > p').id]"
        ),
        json!(["a", true, "b"])
    );
}

#[test]
fn attributes_reflect_and_are_nodes() {
    assert_eq!(
        given(
            "const a = byId('a'), link = document.createElement('a'), input = document.createElement('input');
             a.title = 't'; a.hidden = true; a.tabIndex = 3; a.dataset.fooBar = 1; a.classList.toggle('x'); a.style.color = 'red';
             link.href = '/p?q#h';
             input.maxLength = 5; input.type = 'NUMBER';
             const attr = document.createAttribute('Data-X'); attr.value = 'v'; a.setAttributeNode(attr);
             const seen = [a.getAttributeNames(), a.outerHTML.slice(0, 103), link.href, link.pathname, link.hash, input.outerHTML, input.type, a.attributes['data-x'] === attr,
                attr.ownerElement === a, thrown(() => byId('b').setAttributeNode(attr))];
             a.removeAttribute('TITLE'); delete a.dataset.fooBar;
             [...seen, a.title, a.hasAttribute('data-foo-bar'), a.getAttribute('nothing'), a.attributes.length]"
        ),
        json!([
            [
                "id",
                "class",
                "title",
                "hidden",
                "tabindex",
                "data-foo-bar",
                "style",
                "data-x"
            ],
            "<div id=\"a\" class=\"y\" title=\"t\" hidden=\"\" tabindex=\"3\" data-foo-bar=\"1\" style=\"color: red;\" data-x=\"v\">",
            "https://fonts.example.com/p?q#h",
            "/p",
            "#h",
            "<input maxlength=\"5\" type=\"NUMBER\">",
            "number",
            true,
            true,
            "InUseAttributeError",
            "",
            false,
            null,
            6
        ])
    );
}

#[test]
fn markup_goes_in_and_comes_out() {
    assert_eq!(
        given(
            "const a = byId('a');
             a.innerHTML = '<p>1<p>2&lt;&nbsp;<br><script>window.ran = 1<' + '/script><template><td>t</td></template>';
             const first = a.innerHTML;
             const table = document.createElement('table');
             table.innerHTML = '<tr><td>x';
             a.insertAdjacentHTML('beforebegin', '<i>before</i>');
             a.firstChild.outerHTML = '<q>one</q>two';
             const parsed = new DOMParser().parseFromString('<title>T</title><script>window.ran = 2<' + '/script>', 'text/html');
             [first, table.outerHTML, a.previousSibling.outerHTML, a.firstChild.outerHTML, typeof window.ran, parsed.title, parsed.defaultView,
                thrown(() => new DOMParser().parseFromString('<a/>', 'text/xml')), new XMLSerializer().serializeToString(byId('list')),
                a.querySelector('template').content.textContent]"
        ),
        json!([
            "<p>1</p><p>2&lt;&nbsp;<br><script>window.ran = 1</script><template><td>t</td></template></p>",
            "<table><tbody><tr><td>x</td></tr></tbody></table>",
            "<i>before</i>",
            "<q>one</q>",
            "undefined",
            "T",
            null,
            "NotSupportedError",
            "<ul xmlns=\"http://www.w3.org/1999/xhtml\" id=\"list\"></ul>",
            "t"
        ])
    );
}

#[test]
fn observers_see_changes_once_the_script_is_over() {
    assert_eq!(
        given(
            "(async () => {
                const a = byId('a'), seen = [];
                const observer = new MutationObserver((records, self) => seen.push(self === observer, ...records.map((record) =>
                    [record.type, record.target.id, record.attributeName, record.oldValue, record.addedNodes.length, record.removedNodes.length])));
                observer.observe(a, { childList: true, attributes: true, attributeOldValue: true, subtree: true, characterData: true });
                a.setAttribute('k', '1'); a.setAttribute('k', '2'); byId('b').firstChild.data = 'new'; byId('c').remove(); a.append('1', '2');
                seen.push('sync');
                await null;
                observer.disconnect();
                a.id = 'z';
                await null;
                return [...seen, thrown(() => observer.observe(a, {}))];
            })()"
        ),
        json!([
            "sync",
            true,
            ["attributes", "a", "k", null, 0, 0],
            ["attributes", "a", "k", "1", 0, 0],
            ["characterData", null, null, null, 0, 0],
            ["childList", "a", null, null, 0, 1],
            ["childList", "a", null, null, 2, 0],
            "TypeError"
        ])
    );
}

#[test]
fn events_go_down_and_up_the_tree() {
    assert_eq!(
        given(
            "const seen = [], b = byId('b');
             for (const [name, target] of Object.entries({ window, document, a: byId('a'), b })) {
                target.addEventListener('x', (event) => seen.push(`${name} ${event.eventPhase}`), true);
                target.addEventListener('x', (event) => { seen.push(`${name} ${event.eventPhase} up`); if (name === 'a' && event.cancelable) event.stopPropagation(); });
             }
             b.dispatchEvent(new Event('x', { bubbles: true, cancelable: true }));
             seen.push('-');
             b.dispatchEvent(new Event('x'));
             const box = document.createElement('input'); box.type = 'checkbox';
             const states = [];
             box.onclick = (event) => { states.push(box.checked); if (states.length > 1) event.preventDefault(); };
             box.click(); box.click();
             [seen, states, box.checked, new Event('x').composedPath().length]"
        ),
        json!([
            [
                "window 1",
                "document 1",
                "a 1",
                "b 2",
                "b 2 up",
                "a 3 up",
                "-",
                "window 1",
                "document 1",
                "a 1",
                "b 2",
                "b 2 up"
            ],
            [true, false],
            true,
            0
        ])
    );
}

#[test]
fn forms_know_their_controls_and_what_is_in_them() {
    assert_eq!(
        in_page(
            "<form id=f><input name=t value=v><input type=radio name=r value=1 checked><input type=radio name=r value=2>
             <select name=s><option>A<option selected value=b>B</select><textarea name=x>\nlines</textarea><button>go</button></form><input form=f name=outside>",
            "const seen = [...f.elements].map((control) => `${control.name} ${control.value}`);
             f.elements.r[1] ?? f.querySelectorAll('[name=r]')[1].click();
             let submitted = null;
             f.onsubmit = (event) => { submitted = event.submitter?.localName ?? 'none'; event.preventDefault(); };
             f.querySelector('button').click();
             const picked = [...f.querySelectorAll('[name=r]')].map((radio) => radio.checked);
             f.elements.t.value = 'changed'; f.reset();
             [seen, picked, submitted, f.elements.t.value, f.elements.s.selectedIndex, f.action, f.elements.t.form === f]"
        ),
        json!([
            ["t v", "r 1", "r 2", "s b", "x lines", " ", "outside "],
            [false, true],
            "button",
            "v",
            1,
            "https://fonts.example.com/index.html",
            true
        ])
    );
}

#[test]
fn interfaces_are_shaped_as_web_idl_has_them() {
    assert_eq!(
        given(
            "const chain = []; for (let next = Object.getPrototypeOf(document.createElement('iframe')); next !== null; next = Object.getPrototypeOf(next)) chain.push(Object.prototype.toString.call(next));
             const descriptor = Object.getOwnPropertyDescriptor(Node.prototype, 'firstChild');
             [chain, descriptor.enumerable, descriptor.get.name, Node.prototype.appendChild.length, Node.TEXT_NODE, document.createElement('x') instanceof HTMLUnknownElement,
                new Option('t', 'v').value, new Image(2).width, Image.prototype === HTMLImageElement.prototype, thrown(() => new HTMLElement()), new Text('x').data,
                Object.getOwnPropertyDescriptor(document, 'location').configurable, HTMLDivElement.name]"
        ),
        json!([
            [
                "[object HTMLIFrameElement]",
                "[object HTMLElement]",
                "[object Element]",
                "[object Node]",
                "[object EventTarget]",
                "[object Object]"
            ],
            true,
            "get firstChild",
            1,
            3,
            true,
            "v",
            2,
            true,
            "TypeError",
            "x",
            false,
            "HTMLDivElement"
        ])
    );
}

#[test]
fn styles_follow_from_sheets_and_attributes() {
    assert_eq!(
        in_page(
            "<style>p { color: red } #b { color: #00f; width: 3px } p.x { color: green !important } :nonsense { color: black }</style>
             <div style='color: yellow'><p id=a>a<p id=b>b<p id=c class=x style='color: red'>c<span id=d>d",
            "const color = (id) => getComputedStyle(document.getElementById(id)).color;
             const style = getComputedStyle(b), [sheet] = document.styleSheets;
             const seen = [color('a'), color('b'), color('c'), color('d'), style.width, style.display, getComputedStyle(d).display, sheet.cssRules[1].cssText];
             try { style.color = 'red'; } catch (error) { seen.push(error.name); }
             sheet.deleteRule(1);
             [...seen, style.color]"
        ),
        json!([
            "rgb(255, 0, 0)",
            "rgb(0, 0, 255)",
            "rgb(0, 128, 0)",
            "rgb(0, 128, 0)",
            "3px",
            "block",
            "inline",
            "#b { color: #00f; width: 3px; }",
            "NoModificationAllowedError",
            "rgb(255, 0, 0)"
        ])
    );
}

#[test]
fn a_canvas_keeps_pixels_and_images_of_others_taint_none() {
    assert_eq!(
        in_page(
            "<canvas id=c width=2 height=1>",
            "(async () => {
                const context = c.getContext('2d');
                context.fillStyle = 'gray'; context.fillRect(0, 0, 1, 5);
                const { data } = context.getImageData(0, 0, 2, 1);
                const bitmap = await createImageBitmap(c), other = document.createElement('canvas').getContext('2d');
                other.drawImage(structuredClone(bitmap), 1, 0);
                bitmap.close();
                const thrown = []; for (const run of [() => other.drawImage(bitmap, 0, 0), () => context.getImageData(0, 0, 0, 1), () => new ImageData(0, 1), () => new ImageData(new Uint8ClampedArray(4), 2)]) {
                    try { run(); } catch (error) { thrown.push(error.name); }
                }
                return [[...data], [...other.getImageData(1, 0, 1, 1).data], context.fillStyle, c.getContext('webgl'), bitmap.width, thrown];
            })()"
        ),
        json!([
            [128, 128, 128, 255, 0, 0, 0, 0],
            [128, 128, 128, 255],
            "#808080",
            null,
            0,
            [
                "InvalidStateError",
                "IndexSizeError",
                "IndexSizeError",
                "IndexSizeError"
            ]
        ])
    );
}

#[test]
fn inner_text_is_what_would_be_seen() {
    assert_eq!(
        given(
            "const seen = (html) => {
                 const div = document.createElement('div');
                 div.innerHTML = html;
                 document.body.append(div);
                 return div.innerText;
             };
             const aside = document.createElement('p');
             aside.innerHTML = ' a <i>b</i>\\n';
             [
                 seen(' a\\n  b '), seen('a <b> c</b>'), seen('<p>a</p><p>b</p>c'), seen('<div>a</div><div>b</div>'), seen('a<br> b'),
                 seen('<pre> a\\n b\\n</pre>'), seen('<ul> <li>a</li> <li>b</li> </ul>'), seen('a<script>1</script><span hidden>b</span>'),
                 seen('<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>'), seen(''), aside.innerText,
             ]"
        ),
        json!([
            "a b", "a c", "a\n\nb\n\nc", "a\nb", "a\nb", " a\n b\n", "a\nb", "a", "a\tb\nc", "",
            " a b\n"
        ])
    );
}
