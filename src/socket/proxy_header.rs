//! The header of the PROXY protocol, versions 1 and 2, by which balancers that pass bytes on say
//! whose connection it is (<https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>).

use std::net::IpAddr;

use ppp::{v1, v2};

/// Bytes of a header of version 1, its line end included: the bound of the protocol.
const LINE_BYTES_MAX: usize = 107;

/// Bytes of a header of version 2 before its addresses.
const FIXED_BYTES: usize = 16;

/// Bytes of a header. The longest addresses take 232. A name of 255 bytes, a unique id of 128 and
/// what there is to say of TLS fit besides.
pub const PROXY_HEADER_BYTES_MAX: usize = 1024;

/// What each version begins with.
const LINE_PREFIX: &[u8] = b"PROXY ";
const BINARY_PREFIX: &[u8] = v2::PROTOCOL_PREFIX;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its length in bytes.
    pub bytes: usize,
    /// The address of the client. None if the balancer speaks for itself, as its health checks do,
    /// or if its client has no address of TCP.
    pub source: Option<IpAddr>,
}

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The first bytes are of something else.
    #[error("PROXY header: missing, must be the first of a connection from `listen.trusted`")]
    Missing,
    /// It is longer than it may be.
    #[error("PROXY header: longer than the {max} bytes that version {version} may have here")]
    TooLong {
        /// Its version.
        version: u8,
        /// The bound.
        max: usize,
    },
    /// It is not well formed.
    #[error("PROXY header of version {version}: {reason}")]
    Malformed {
        /// Its version.
        version: u8,
        /// What is wrong.
        reason: String,
    },
}

impl ProxyHeader {
    /// Reads the header that `bytes` begin with. Returns none while it is not complete.
    pub fn scan(bytes: &[u8]) -> Result<Option<Self>, ProxyHeaderError> {
        if is_begun(bytes, LINE_PREFIX) {
            Self::scan_line(bytes)
        } else if is_begun(bytes, BINARY_PREFIX) {
            Self::scan_binary(bytes)
        } else {
            Err(ProxyHeaderError::Missing)
        }
    }

    /// Whether bytes begin with a header.
    pub(super) fn is_at(bytes: &[u8]) -> bool {
        bytes.starts_with(LINE_PREFIX) || bytes.starts_with(BINARY_PREFIX)
    }

    /// The parser takes some cuts of a line for mistakes, so it is shown a whole line.
    fn scan_line(bytes: &[u8]) -> Result<Option<Self>, ProxyHeaderError> {
        let shown = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let Some(end) = shown.iter().position(|byte| *byte == b'\n') else {
            let is_over = bytes.len() >= LINE_BYTES_MAX;
            let error = ProxyHeaderError::TooLong { version: 1, max: LINE_BYTES_MAX };
            return if is_over { Err(error) } else { Ok(None) };
        };
        let malformed = |reason: String| ProxyHeaderError::Malformed { version: 1, reason };
        let header = v1::Header::try_from(&bytes[..=end]);
        let header = header.map_err(|error| malformed(error.to_string()))?;
        let source = match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
        };
        if header.header.len() != end + 1 {
            return Err(malformed("the line must end with CRLF".to_owned()));
        }
        Ok(Some(Self { bytes: end + 1, source }))
    }

    fn scan_binary(bytes: &[u8]) -> Result<Option<Self>, ProxyHeaderError> {
        let Some([high, low]) = bytes.get(FIXED_BYTES - 2..FIXED_BYTES) else { return Ok(None) };
        let length = FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
        if length > PROXY_HEADER_BYTES_MAX {
            let max = PROXY_HEADER_BYTES_MAX;
            return Err(ProxyHeaderError::TooLong { version: 2, max });
        }
        let malformed = |error: v2::ParseError| ProxyHeaderError::Malformed {
            version: 2,
            reason: error.to_string(),
        };
        let header = match v2::Header::try_from(bytes) {
            Err(v2::ParseError::Incomplete(_) | v2::ParseError::Partial(..)) => return Ok(None),
            header => header.map_err(malformed)?,
        };
        header.tlvs().try_for_each(|value| value.map(|_| ())).map_err(malformed)?;
        Ok(Some(Self { bytes: length, source: source_of(&header) }))
    }
}

/// Whether bytes begin with a prefix, or are a part of it.
fn is_begun(bytes: &[u8], prefix: &[u8]) -> bool {
    let shared = bytes.len().min(prefix.len());
    bytes[..shared] == prefix[..shared]
}

/// Returns the client of a header of version 2.
fn source_of(header: &v2::Header) -> Option<IpAddr> {
    let is_proxied =
        (header.command, header.protocol) == (v2::Command::Proxy, v2::Protocol::Stream);
    match header.addresses {
        v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
        v2::Addresses::IPv6(addresses) => Some(addresses.source_address.into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    }
    .filter(|_| is_proxied)
}

#[cfg(test)]
mod tests;
