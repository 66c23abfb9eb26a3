//! The ids of clients as scripts see them: a permutation of the browser's own counter under a key
//! that nobody else has, in the form of a random UUID. So an id is the same wherever a client is
//! shown, says nothing of how many clients there are, and cannot be guessed by another origin; and no
//! table has to be kept of them.

use std::sync::OnceLock;

use ring::hmac;
use service_worker::types::ClientId;

/// A UUID of version 4 has 122 bits that are free: two halves of 61.
const HALF: u32 = 61;
const MASK: u64 = (1 << HALF) - 1;

/// A client's *id*, as scripts see it.
pub(super) fn shown(client: ClientId) -> String {
    let (left, right) = encrypt(key(), client.0);
    let bits = (u128::from(left) << HALF) | u128::from(right);
    // RFC 9562, section 5.4: 48 bits, the version, 12 bits, the variant, 62 bits.
    let high = (bits >> 74) << 80;
    let middle = ((bits >> 62) & 0xfff) << 64;
    let low = bits & ((1 << 62) - 1);
    let uuid = high | (4 << 76) | middle | (0b10 << 62) | low;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        uuid >> 96,
        (uuid >> 80) & 0xffff,
        (uuid >> 64) & 0xffff,
        (uuid >> 48) & 0xffff,
        uuid & 0xffff_ffff_ffff,
    )
}

/// The client that an id as scripts see it names; any other text names none.
pub(super) fn parse(id: &str) -> Option<ClientId> {
    let digits: String = id.chars().filter(|it| *it != '-').collect();
    let uuid = u128::from_str_radix(&digits, 16).ok()?;
    let bits = ((uuid >> 80) << 74) | (((uuid >> 64) & 0xfff) << 62) | (uuid & ((1 << 62) - 1));
    let half = |bits: u128| u64::try_from(bits & u128::from(MASK)).ok();
    let client = ClientId(decrypt(key(), half(bits >> HALF)?, half(bits)?)?);
    // Whatever is written otherwise is no id.
    (shown(client) == id).then_some(client)
}

/// Four rounds of a Feistel network, over a left half of zeros and the number.
fn encrypt(key: &hmac::Key, number: u64) -> (u64, u64) {
    (0..4).fold((0, number & MASK), |(left, right), round| {
        (right, left ^ mixed(key, round, right))
    })
}

/// The number, if the left half comes out as zeros.
fn decrypt(key: &hmac::Key, left: u64, right: u64) -> Option<u64> {
    let (zeros, number) = (0..4).rev().fold((left, right), |(left, right), round| {
        (right ^ mixed(key, round, left), left)
    });
    (zeros == 0).then_some(number)
}

fn mixed(key: &hmac::Key, round: u8, half: u64) -> u64 {
    let mut message = [round; 9];
    message[1..].copy_from_slice(&half.to_le_bytes());
    let tag = hmac::sign(key, &message);
    let bytes = tag.as_ref().iter().take(8);
    bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte)) & MASK
}

/// Made once for this process, whose counter it hides.
fn key() -> &'static hmac::Key {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let random = ring::rand::SystemRandom::new();
        #[expect(
            clippy::expect_used,
            reason = "a system without randomness is no place for a browser: nothing else of it is safe either"
        )]
        hmac::Key::generate(hmac::HMAC_SHA256, &random).expect("the system gives randomness")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_id_names_its_client_and_looks_like_a_random_uuid() {
        let mut seen = BTreeSet::new();
        for number in (0..1000).chain([1 << 52, (1 << 53) - 1]) {
            let id = shown(ClientId(number));
            assert_eq!(parse(&id), Some(ClientId(number)), "{id}");
            assert_eq!(shown(ClientId(number)), id, "it stays");
            assert_eq!(id.len(), 36);
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]), "{id}");
            assert!(seen.insert(id[..8].to_owned()), "{id}");
        }
    }

    #[test]
    fn what_was_never_shown_names_no_client() {
        let id = shown(ClientId(7));
        for other in [
            "",
            "7",
            "client-7",
            "ClientId-7",
            "00000000-0000-4000-8000-000000000007",
            &id.to_uppercase(),
            &id.replace('-', ""),
            &format!("{id}0"),
            &format!(" {id}"),
            "ffffffffffffffffffffffffffffffffffffffffffffffffff",
            "+f",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
        // One digit changed is another id, which names nothing.
        for at in (0..36).filter(|at| ![8, 13, 14, 18, 19, 23].contains(at)) {
            let mut digits = id.clone().into_bytes();
            digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(parse(std::str::from_utf8(&digits).unwrap()), None);
        }
    }
}
