//! Ports that belong to other protocols. (*Fetch*, "port blocking".)

use url::Url;

/// *Block bad port*: the port, if it is a bad one.
pub(super) fn bad_port(url: &Url) -> Option<u16> {
    let port = url
        .port()
        .filter(|_| matches!(url.scheme(), "http" | "https"))?;
    BAD_PORTS.binary_search(&port).is_ok().then_some(port)
}

const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_ports_are_sorted_for_the_search() {
        assert!(BAD_PORTS.is_sorted());
    }

    #[test]
    fn ports_of_other_protocols_are_bad_and_those_of_http_are_not() {
        let port = |url| bad_port(&Url::parse(url).unwrap());
        assert_eq!(port("http://a.test:25/"), Some(25));
        assert_eq!(port("https://a.test:10080/"), Some(10080));
        assert_eq!(port("https://a.test:0/"), Some(0));
        for good in [
            "http://a.test/",
            "https://a.test:8443/",
            "http://a.test:80/",
            "ftp://a.test:25/",
        ] {
            assert_eq!(port(good), None, "{good}");
        }
    }
}
