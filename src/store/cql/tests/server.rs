//! Where the tests' server is.

/// The variable that says it, `host:port`.
const ADDRESS: &str = "NARROWCAST_TEST_CQL";

/// Where the tests' server is.
pub(super) fn address() -> String {
    std::env::var(ADDRESS).unwrap_or_else(|_| {
        panic!(
            "{ADDRESS} (host:port) does not say where a CQL server is: `scripts/test` starts one"
        )
    })
}
