//! Of blobs: their URLs, and text and base64 of their bytes.

use rquickjs::{Ctx, Result};
use url::Url;

use super::{OpError, Ops};
use crate::js::JsBytes;
use crate::js::blob_urls::OwnBlobs;
use crate::js::realm::RealmKind;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Create object URL: `unique` is a new UUID.
    let realm = ops.realm();
    ops.add(
        "op_create_object_url",
        move |ctx: Ctx<'js>, unique: String, bytes: JsBytes, media_type: String| {
            let refused = || OpError::new("NotSupportedError", "this realm has no blob URL store");
            realm
                .local::<OwnBlobs>()
                .create(&realm, &unique, bytes.0, media_type)
                .ok_or_else(|| refused().throw(&ctx))
        },
    )?;

    let realm = ops.realm();
    ops.add("op_revoke_object_url", move |url: String| {
        // Step 1: what is no URL is no blob URL.
        if let Ok(url) = Url::parse(&url) {
            realm.local::<OwnBlobs>().revoke(&realm, &url);
        }
    })?;

    // A service worker makes none.
    let realm = ops.realm();
    ops.add("op_makes_object_urls", move || {
        !matches!(realm.kind(), RealmKind::ServiceWorker(_))
    })?;

    // The number of what a URL leads to now, or null.
    let realm = ops.realm();
    ops.add("op_resolve_blob", move |url: String| {
        let url = Url::parse(&url).ok()?;
        realm
            .local::<OwnBlobs>()
            .resolve(&realm, &url)
            .map(super::windows::to_number)
    })?;

    ops.add("op_base64", |bytes: JsBytes| base64(&bytes.0))?;

    ops.add("op_package_text", |bytes: JsBytes, labels: Vec<String>| {
        decode(&bytes.0, &labels)
    })
}

/// *Decode* with the first label that names an encoding, else UTF-8. (*Encoding*.)
fn decode(bytes: &[u8], labels: &[String]) -> String {
    let named = labels
        .iter()
        .find_map(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    let (text, _, _) = named.unwrap_or(encoding_rs::UTF_8).decode(bytes);
    text.into_owned()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// *Forgiving-base64 encode.* (*Infra*.)
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > group.len() {
                '='
            } else {
                char::from(ALPHABET[index as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_padded() {
        let of = |text: &str| base64(text.as_bytes());
        assert_eq!(
            [of(""), of("f"), of("fo"), of("foo"), of("foob")],
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }
}
