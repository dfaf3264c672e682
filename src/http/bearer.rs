//! The token that a request carries (RFC 6750).

use hyper::header::{AUTHORIZATION, HeaderMap};

/// Returns the token of `Authorization: Bearer …`. Returns none unless the header is given once.
pub(super) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn one_bearer_is_taken() {
        let table: [(&[&str], Option<&str>); 7] = [
            (&["Bearer a.b.c"], Some("a.b.c")),
            (&["bEARER  a"], Some("a")),
            (&["Basic a"], None),
            (&["Bearer"], None),
            (&[""], None),
            (&[], None),
            (&["Bearer a", "Bearer b"], None),
        ];
        for (values, token) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(bearer_of(&headers), token, "{values:?}");
        }
    }
}
