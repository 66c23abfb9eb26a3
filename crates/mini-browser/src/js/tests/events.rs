//! Event targets, and the globals' own properties.

use serde_json::json;

use super::stand::evaluate;

#[test]
fn what_is_no_event_target_is_refused() {
    assert_eq!(
        evaluate(
            "const name = (f) => { try { f(); return 'no error'; } catch (error) { return error.name; } };
            const { addEventListener, dispatchEvent } = EventTarget.prototype;
            const handler = Object.getOwnPropertyDescriptor(BroadcastChannel.prototype, 'onmessage');
            const frame = document.body.appendChild(document.createElement('iframe')).contentWindow;
            let heard = 0;
            addEventListener.call(undefined, 'own', () => heard++);
            dispatchEvent.call(window, new Event('own'));
            [{}, Object.create(EventTarget.prototype), EventTarget.prototype, 5].map((value) => name(() => addEventListener.call(value, 'x', () => {})))
                .concat([name(() => handler.get.call({})), name(() => handler.get.call(undefined)), name(() => handler.set.call(BroadcastChannel.prototype, null)),
                    name(() => addEventListener.call(frame, 'x', () => {})), name(() => addEventListener.call(frame.document, 'x', () => {})), heard])"
        ),
        json!([
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "no error",
            "no error",
            1
        ])
    );
}

#[test]
fn the_current_event_of_a_window_is_that_of_the_innermost_listener() {
    assert_eq!(
        evaluate(
            "const seen = [event];
            const outer = new Event('outer'), inner = new Event('inner');
            const target = new EventTarget();
            target.addEventListener('inner', () => seen.push(event === inner));
            target.addEventListener('outer', () => { target.dispatchEvent(inner); seen.push(event === outer); });
            target.dispatchEvent(outer);
            seen.push(event);
            event = 'replaced';
            target.dispatchEvent(new Event('none'));
            [...seen.map((value) => value ?? null), event]"
        ),
        json!([null, true, true, null, "replaced"])
    );
}

#[test]
fn listeners_for_scrolling_are_passive_at_the_roots_unless_they_say_otherwise() {
    assert_eq!(
        evaluate(
            "const div = document.body.appendChild(document.createElement('div'));
            const prevented = (target, options) => {
                const listener = (event) => event.preventDefault(), wheel = new Event('wheel', { cancelable: true });
                target.addEventListener('wheel', listener, options);
                target.dispatchEvent(wheel);
                target.removeEventListener('wheel', listener, { get passive() { throw 'not read'; } });
                return wheel.defaultPrevented;
            };
            [window, document, document.documentElement, document.body, div].map((target) => prevented(target))
                .concat([prevented(window, { passive: false }), prevented(document, { passive: undefined }), prevented(div, { passive: true })])"
        ),
        json!([false, false, false, false, true, true, false, false])
    );
}

#[test]
fn an_event_that_was_not_initialized_is_not_dispatched() {
    assert_eq!(
        evaluate(
            "const event = document.createEvent('Event'), names = [];
            try { dispatchEvent(event); } catch (error) { names.push(error.name); }
            event.initEvent('x');
            names.push(dispatchEvent(event));
            let gets = 0, self;
            const listener = { get handleEvent() { gets++; return function () { self = this; }; } };
            addEventListener('y', listener);
            dispatchEvent(new Event('y'));
            [...names, gets, self === listener]"
        ),
        json!(["InvalidStateError", true, 1, true])
    );
}

#[test]
fn interface_objects_are_data_properties_and_attributes_accessors() {
    assert_eq!(
        evaluate(
            "const of = (name) => Object.getOwnPropertyDescriptor(window, name);
            const name = (f) => { try { f(); return 'no error'; } catch (error) { return error.name; } };
            const cache = of('Cache'), before = [cache.value === Cache, cache.writable, cache.enumerable, 'get' in cache];
            crypto = 1; performance = 2; self = 3;
            delete window.Blob;
            const { get } = Object.getOwnPropertyDescriptor(BroadcastChannel.prototype, 'onmessage');
            [get.name, Window.length, ...before, typeof crypto, performance, self, of('Blob') ?? null, name(() => Reflect.get(window, 'caches', {}))]"
        ),
        json!(["get onmessage", 0, true, true, false, false, "object", 2, 3, null, "no error"])
    );
}
