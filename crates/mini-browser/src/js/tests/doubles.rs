//! Stand-ins for modules of the prelude that this build does not have.

/// The source of the stand-in called `file`.
pub(in crate::js) fn source(file: &str) -> Option<&'static str> {
    match file {
        "request.js" => Some(REQUEST),
        "response.js" => Some(RESPONSE),
        _ => None,
    }
}

const REQUEST: &str = r#"
    export class Request { constructor(head, bytes) { Object.assign(this, head); this.bytes = bytes; } async text() { return new TextDecoder().decode(this.bytes); } }
    export const requestFromHost = (head, bytes) => new Request(head, bytes);
"#;

const RESPONSE: &str = r#"
    export class Response {
        constructor(body = null, { status = 200, statusText = "", headers = {} } = {}) {
            this.bodyUsed = false;
            this.bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
            this.head = { type: "default", status, statusText, headers: Object.entries(headers), headId: null };
        }
        async text() { this.bodyUsed = true; return new TextDecoder().decode(this.bytes); }
    }
    export const isResponse = (value) => value instanceof Response;
    export const responseToHost = (response) => ({ head: response.head, body: Promise.resolve(response.bytes) });
"#;
