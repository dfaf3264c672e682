//! The head of an HTTP/1.1 request as it is on the wire. It is checked where the parser after it is
//! lenient (RFC 9112). A peer in front of this node might read such a head differently, and take
//! one request for two.

use hyper::StatusCode;

use super::handshake::UpgradeRejected;
use super::proxy_header::ProxyHeader;

/// Bytes of a transfer coding that an error repeats.
const CODING_BYTES_SHOWN: usize = 64;

/// The only known transfer coding.
const CHUNKED: &str = "chunked";

/// Why a head is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A line ends with LF alone.
    BareLf,
    /// The header `Host` is given so many times.
    Hosts(usize),
    /// The body's length is given in two ways.
    TwoLengths,
    /// A transfer coding is not known.
    Coding(String),
    /// A PROXY header is missing or is not well formed.
    Proxy(String),
    /// It begins with a PROXY header, which none of these peers may send.
    UnwantedProxy,
}

impl From<Flaw> for UpgradeRejected {
    fn from(flaw: Flaw) -> Self {
        let bad = |message: String| Self::new(StatusCode::BAD_REQUEST, message);
        match flaw {
            Flaw::BareLf => bad("head: a line ends with LF alone, must end with CRLF".into()),
            Flaw::Hosts(found) => {
                bad(format!("header Host: must be there once, not {found} times"))
            }
            Flaw::TwoLengths => {
                bad("headers Content-Length and Transfer-Encoding: only one may be there".into())
            }
            Flaw::Coding(found) => {
                let message = format!("header Transfer-Encoding: {found:?}, must be `{CHUNKED}`");
                Self::new(StatusCode::NOT_IMPLEMENTED, message)
            }
            Flaw::Proxy(message) => bad(message),
            Flaw::UnwantedProxy => {
                bad("head: a PROXY header, which needs `listen.proxy_protocol` \
                and an address in `listen.trusted`"
                    .into())
            }
        }
    }
}

/// Finds the end of a head that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Where the incomplete line begins.
    line: usize,
    /// Whether a line that is not empty was seen. Empty ones before the request's line are skipped.
    begun: bool,
}

impl HeadScan {
    /// Returns where the head ends in `bytes`, which are those of the last call and more; none if
    /// it does not.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
        if ProxyHeader::is_at(bytes) {
            return Err(Flaw::UnwantedProxy);
        }
        while let Some(length) = bytes[self.line..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[self.line..self.line + length];
            let Some(line) = line.strip_suffix(b"\r") else { return Err(Flaw::BareLf) };
            self.line += length + 1;
            if !line.is_empty() {
                self.begun = true;
            } else if self.begun {
                return Ok(Some(self.line));
            }
        }
        Ok(None)
    }
}

/// Where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// After so many bytes.
    Length(u64),
    /// After its last chunk.
    Chunks(Chunks),
}

/// Returns the body that a complete head announces. What it does not understand it leaves to the
/// parser to refuse.
pub(super) fn body_of(head: &[u8]) -> Result<Body, Flaw> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let line = lines.by_ref().find(|line| !line.is_empty()).unwrap_or_default();
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), Vec::new());
    for (name, value) in lines.filter_map(field) {
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.push(value);
        }
    }
    if hosts > 1 || (hosts == 0 && line.ends_with(b" HTTP/1.1")) {
        return Err(Flaw::Hosts(hosts));
    }
    if codings.is_empty() {
        let length = lengths.first().and_then(|text| str::from_utf8(text).ok()?.parse().ok());
        return Ok(Body::Length(length.unwrap_or_default()));
    }
    let coding = codings.join(&b", "[..]);
    if !coding.eq_ignore_ascii_case(CHUNKED.as_bytes()) {
        let shown = &coding[..coding.len().min(CODING_BYTES_SHOWN)];
        return Err(Flaw::Coding(String::from_utf8_lossy(shown).into_owned()));
    }
    if lengths.is_empty() { Ok(Body::Chunks(Chunks::default())) } else { Err(Flaw::TwoLengths) }
}

/// Returns the name and the value of a header's line.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

impl Body {
    /// Returns how many of these bytes belong to the body, and whether it ends with them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self {
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Self::Chunks(chunks) => chunks.take(bytes),
        }
    }
}

/// Finds the end of a chunked body. The parser checks its content. If the two disagree, this misses
/// a flaw or finds one too many; the parser alone decides what is a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the line of a chunk's size.
    Size {
        /// The size as read so far.
        value: u64,
        /// Whether its digits are over.
        over: bool,
    },
    /// So many bytes before the next such line.
    Data(u64),
    /// In the lines after the last chunk.
    Trailer {
        /// Whether the line is empty so far.
        empty: bool,
    },
}

impl Default for Chunks {
    fn default() -> Self {
        Self::Size { value: 0, over: false }
    }
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Self::Data(left) = self {
                let skipped = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= skipped as u64;
                at += skipped;
                if *left == 0 {
                    *self = Self::default();
                }
                continue;
            }
            at += 1;
            if self.step(*byte) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Takes a byte of a line. Returns whether it is the last of the body.
    fn step(&mut self, byte: u8) -> bool {
        *self = match *self {
            Self::Trailer { empty: true } if byte == b'\n' => return true,
            Self::Trailer { empty } => {
                Self::Trailer { empty: byte == b'\n' || (empty && byte == b'\r') }
            }
            Self::Size { value: 0, .. } if byte == b'\n' => Self::Trailer { empty: true },
            // The line end after the data is skipped with it.
            Self::Size { value, .. } if byte == b'\n' => Self::Data(value.saturating_add(2)),
            Self::Size { value, over } => match char::from(byte).to_digit(16) {
                Some(digit) if !over => {
                    let value = value.saturating_mul(16).saturating_add(digit.into());
                    Self::Size { value, over }
                }
                _ => Self::Size { value, over: true },
            },
            Self::Data(left) => Self::Data(left),
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(head: &str) -> Result<Body, Flaw> {
        let end = HeadScan::default().end(head.as_bytes())?;
        assert_eq!(end, Some(head.len()), "{head:?}");
        body_of(head.as_bytes())
    }

    fn with(lines: &str) -> Result<Body, Flaw> {
        body(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
    }

    #[test]
    fn a_host_is_there_once() {
        assert_eq!(body("GET / HTTP/1.1\r\nhOsT:a\r\n\r\n"), Ok(Body::Length(0)));
        assert_eq!(body("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Err(Flaw::Hosts(0)));
        assert_eq!(with("host: a\r\n"), Err(Flaw::Hosts(2)));
        assert_eq!(body("GET / HTTP/1.0\r\n\r\n"), Ok(Body::Length(0)), "it was no rule then");
        assert_eq!(body("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"), Err(Flaw::Hosts(2)));
    }

    #[test]
    fn a_bare_line_feed_is_a_flaw_wherever_it_stands() {
        let whole = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
        for (at, _) in whole.match_indices("\r\n") {
            let bare = format!("{}{}", &whole[..at], &whole[at + 1..]);
            assert_eq!(body(&bare), Err(Flaw::BareLf), "{bare:?}");
        }
    }

    #[test]
    fn a_body_has_one_length() {
        assert_eq!(with("content-length: 7\r\n"), Ok(Body::Length(7)));
        assert_eq!(with("Transfer-Encoding: Chunked\r\n"), Ok(Body::Chunks(Chunks::default())));
        let both = "transfer-encoding: chunked\r\ncontent-length: 7\r\n";
        assert_eq!(with(both), Err(Flaw::TwoLengths));
        for unknown in ["gzip", "gzip, chunked", "identity", "xchunked", "chunked, chunked", ""] {
            let flaw = with(&format!("transfer-encoding: {unknown}\r\n"));
            assert_eq!(flaw, Err(Flaw::Coding(unknown.into())));
        }
        let twice = "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n";
        assert_eq!(with(twice), Err(Flaw::Coding("gzip, chunked".into())));
    }

    #[test]
    fn the_end_of_a_chunked_body_is_found_in_any_pieces() {
        let body = "5;x=\"1\"\r\n12\n\n5\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nt: u\r\n\r\n";
        let bytes = format!("{body}GET / HTTP/1.1\r\n");
        for piece in 1..=bytes.len() {
            let (mut chunks, mut taken) = (Chunks::default(), 0);
            let ended = bytes.as_bytes().chunks(piece).any(|bytes| {
                let (used, ended) = chunks.take(bytes);
                taken += used;
                ended
            });
            assert!(ended && taken == body.len(), "{taken} in pieces of {piece}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_through(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _body = body_of(&bytes);
            let (taken, _) = Chunks::default().take(&bytes);
            prop_assert!(taken <= bytes.len());
            if let Ok(Some(end)) = HeadScan::default().end(&bytes) {
                prop_assert!(bytes[..end].ends_with(b"\r\n\r\n"));
            }
        }
    }
}
