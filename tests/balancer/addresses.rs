//! Limits by address hold for each client, and not for the balancer that all of them come through.

use std::net::{IpAddr, Ipv4Addr};

use super::fleet::{BEHIND_HAPROXY, BEHIND_NGINX, Fleet};
use crate::harness::Balancer;
use crate::wire::raw::{Raw, UPGRADE};

/// Connections of an address at once.
const EACH: usize = 2;

/// What clients may say about themselves.
const LIES: [&str; 4] = [
    "x-forwarded-for: 192.0.2.9",
    "X-Forwarded-For: 192.0.2.9, 127.0.0.1",
    "x-forwarded-for: 127.0.0.1\r\nx-forwarded-for: 192.0.2.9",
    "forwarded: for=192.0.2.9",
];

/// An address of this machine that is no balancer's.
const fn client(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, number))
}

/// What an upgrade from an address is answered.
async fn upgrade(balancer: &Balancer, source: IpAddr, request: &str) -> (Raw, u16) {
    let mut raw = Raw::connect_from(&balancer.url(), source).await;
    let status = raw.http(request).await.status;
    (raw, status)
}

async fn each_client_has_its_own_limit(balancer: &Balancer) {
    let mut held = Vec::new();
    for number in 2..5 {
        for _connection in 0..EACH {
            let (raw, status) = upgrade(balancer, client(number), UPGRADE).await;
            assert_eq!(status, 101, "127.0.0.{number}");
            held.push(raw);
        }
        let (_raw, status) = upgrade(balancer, client(number), UPGRADE).await;
        assert_eq!(status, 429, "127.0.0.{number}");
    }
    for lie in LIES {
        let request = UPGRADE.replace("host: a", &format!("host: a\r\n{lie}"));
        let (_raw, status) = upgrade(balancer, client(2), &request).await;
        assert_eq!(status, 429, "{lie}");
    }
    held.clear();
    let mut freed = 429;
    for _turn in 0..100 {
        freed = upgrade(balancer, client(2), UPGRADE).await.1;
        if freed == 101 {
            break;
        }
    }
    assert_eq!(freed, 101, "connections that ended do not count");
}

fn lines(behind: &str) -> String {
    format!("{behind}rates.connections_per_address = {EACH}\n")
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn limits_by_address_hold_for_each_client_through_haproxy() {
    let fleet = Fleet::start(1, &lines(BEHIND_HAPROXY)).await;
    each_client_has_its_own_limit(&Balancer::haproxy(&fleet.addresses())).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn limits_by_address_hold_for_each_client_through_nginx() {
    let fleet = Fleet::start(1, &lines(BEHIND_NGINX)).await;
    each_client_has_its_own_limit(&Balancer::nginx(&fleet.addresses())).await;
}
