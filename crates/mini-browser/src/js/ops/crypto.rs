//! Digests, for `SubtleCrypto`.

use ring::digest;
use rquickjs::{Ctx, Result};

use super::{OpError, Ops};
use crate::js::JsBytes;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    ops.add(
        "op_digest",
        |ctx: Ctx<'js>, algorithm: String, bytes: JsBytes| {
            let digest = digest_of(&algorithm, &bytes.0);
            digest.map_err(|error| error.throw(&ctx))
        },
    )
}

fn digest_of(algorithm: &str, bytes: &[u8]) -> std::result::Result<JsBytes, OpError> {
    let algorithm = match algorithm {
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-256" => &digest::SHA256,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        _ => {
            let message = format!("{algorithm:?} is not offered");
            return Err(OpError::new("NotSupportedError", message));
        }
    };
    let digest = digest::digest(algorithm, bytes);
    Ok(JsBytes(digest.as_ref().to_vec().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        // The first four bytes of the digest of "abc". (FIPS 180-4, examples.)
        for (algorithm, start, length) in [
            ("SHA-1", [0xa9, 0x99, 0x3e, 0x36], 20),
            ("SHA-256", [0xba, 0x78, 0x16, 0xbf], 32),
            ("SHA-384", [0xcb, 0x00, 0x75, 0x3f], 48),
            ("SHA-512", [0xdd, 0xaf, 0x35, 0xa1], 64),
        ] {
            let digest = digest_of(algorithm, b"abc").unwrap().0;
            assert_eq!((&digest[..4], digest.len()), (&start[..], length));
        }
        assert_eq!(digest_of("MD5", b"").unwrap_err().name, "NotSupportedError");
    }
}
