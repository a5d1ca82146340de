//! RFC 3261 §19.1.4: when two URIs name the same resource (E-15).

use super::escape::hex_value;
use super::{Scheme, Uri};

pub(super) fn equivalent(a: &Uri, b: &Uri) -> bool {
    if a.scheme != b.scheme {
        return false;
    }
    match a.scheme {
        Scheme::Sip | Scheme::Sips | Scheme::Abstract => sip_equivalent(a, b),
        Scheme::Tel => tel_equivalent(a, b),
        Scheme::Other => other_equivalent(a.as_str(), b.as_str()),
    }
}

fn sip_equivalent(a: &Uri, b: &Uri) -> bool {
    let same_host = match (&a.host, &b.host) {
        (Some(a), Some(b)) => a.is_same(b),
        _ => false,
    };
    same_host
        && a.port == b.port
        && same_escaped(a.user(), b.user(), str::to_owned)
        && same_escaped(a.password(), b.password(), str::to_owned)
        && params_agree(a, b)
        && params_agree(b, a)
        && header_components(a) == header_components(b)
}

fn same_escaped(a: Option<&str>, b: Option<&str>, fold: fn(&str) -> String) -> bool {
    a.map(|a| fold(&normalize(a))) == b.map(|b| fold(&normalize(b)))
}

/// Each parameter of `a` is equal in `b`, or absent there and of no weight.
fn params_agree(a: &Uri, b: &Uri) -> bool {
    /// A difference in these is a difference in where or how the request goes.
    const WEIGHTY: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    let in_b = |wanted: &str| {
        b.params().iter().find(|(name, _)| normalize(name).eq_ignore_ascii_case(wanted))
    };
    a.params().iter().all(|(name, value)| {
        let name = normalize(name);
        match in_b(&name) {
            Some((_, other)) => same_escaped(value, other, str::to_ascii_lowercase),
            None => !WEIGHTY.iter().any(|weighty| weighty.eq_ignore_ascii_case(&name)),
        }
    })
}

fn header_components(uri: &Uri) -> Vec<(String, String)> {
    let split = |part: &str| match part.split_once('=') {
        Some((name, value)) => (normalize(name).to_ascii_lowercase(), normalize(value)),
        None => (normalize(part).to_ascii_lowercase(), String::new()),
    };
    let mut parts: Vec<_> =
        uri.headers().split('&').filter(|part| !part.is_empty()).map(split).collect();
    parts.sort();
    parts
}

/// RFC 3966 §4: visual separators do not count; parameters in any order must all agree.
fn tel_equivalent(a: &Uri, b: &Uri) -> bool {
    let number = |uri: &Uri| {
        let digits = uri.user().unwrap_or_default().chars().filter(|c| !"-.()".contains(*c));
        digits.collect::<String>().to_ascii_lowercase()
    };
    let params = |uri: &Uri| {
        let lower = |(name, value): (&str, Option<&str>)| {
            (name.to_ascii_lowercase(), value.map(str::to_ascii_lowercase))
        };
        let mut params: Vec<_> = uri.params().iter().map(lower).collect();
        params.sort();
        params
    };
    number(a) == number(b) && params(a) == params(b)
}

fn other_equivalent(a: &str, b: &str) -> bool {
    match (a.split_once(':'), b.split_once(':')) {
        (Some((scheme_a, a)), Some((scheme_b, b))) => {
            scheme_a.eq_ignore_ascii_case(scheme_b) && a == b
        }
        _ => false,
    }
}

/// Decodes escapes of characters that are not reserved; upper-cases the others.
fn normalize(text: &str) -> String {
    const RESERVED: &[u8] = b";/?:@&=+$,%";
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let decoded = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                hex_value(*high).zip(hex_value(*low)).map(|(h, l)| h * 16 + l)
            }
            _ => None,
        };
        match decoded {
            Some(plain) if plain.is_ascii() && !RESERVED.contains(&plain) => out.push(plain),
            Some(kept) => out.extend_from_slice(format!("%{kept:02X}").as_bytes()),
            None => out.push(*byte),
        }
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
