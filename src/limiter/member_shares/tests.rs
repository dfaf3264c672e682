use super::*;
use crate::domain::RoomId;
use crate::limiter::Rate;
use crate::limiter::gcra::Check;

fn room(name: &str) -> Conversation {
    Conversation::Room(RoomId::parse(name).unwrap())
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn share(per_s: u32) -> MemberShare {
    MemberShare::half_of("shares", &RateLimit { name: "rates", burst: 1, per_s })
}

/// A conversation at its rate, without a burst, and members who try at their own times.
struct Busy {
    rate: Rate,
    share: MemberShare,
    tat: u64,
    contests: Contests,
    is_shared: bool,
}

impl Busy {
    fn new(per_s: u32, is_shared: bool) -> Self {
        let (rate, share) = (Rate::micros(1, per_s), share(per_s));
        Self { rate, share, tat: 0, contests: Contests::default(), is_shared }
    }

    /// Does what the worker's limiter does.
    fn is_let_in(&mut self, who: &UserId, now: u64) -> bool {
        let (share, here) = (self.share, room("x"));
        let waits = self.contests.wait(&share, &here, who, now).filter(|_| self.is_shared);
        let fits = matches!(self.rate.check(self.tat, now, 1), Check::Fits { .. });
        if waits.is_some() || !fits {
            self.contests.contest(&share, &here, who, now);
            return false;
        }
        self.tat = self.rate.charged(self.tat, now, 1, u64::MAX / 2);
        self.contests.charge(&share, &here, who, now);
        true
    }

    /// Tries of two members in so many seconds, one each `periods` microseconds, which are whole
    /// milliseconds. Returns how many were let in.
    fn run(&mut self, seconds: u64, periods: [u64; 2]) -> [u32; 2] {
        let users = [user("greedy"), user("modest")];
        let mut let_in = [0; 2];
        for now in (0..seconds * 1_000_000).step_by(1000) {
            for at in [0, 1] {
                // The second member is always a little late: the first has each turn that comes up.
                let tries = now.is_multiple_of(periods[at]);
                if tries && self.is_let_in(&users[at], now + at as u64) {
                    let_in[at] += 1;
                }
            }
        }
        let_in
    }
}

#[test]
fn half_of_a_rate_is_a_whole_number_of_messages() {
    for (per_s, sends, window) in [(25, 12, 1), (10_000, 5000, 1), (2, 1, 1), (1, 1, 2), (3, 1, 1)]
    {
        let share = share(per_s);
        assert_eq!((share.sends, share.window_micros), (sends, window * 1_000_000), "{per_s}");
    }
}

#[test]
fn a_greedy_member_leaves_the_others_half() {
    for per_s in [25, 1] {
        let periods = [1000, 2000];
        let [greedy, modest] = Busy::new(per_s, true).run(20, periods);
        let half = per_s * 10;
        assert!(modest * 10 >= half * 8, "{modest} of {half} at {per_s} a second");
        assert!(greedy <= half + 2, "{greedy} of {half} at {per_s} a second");
        let [_, unshared] = Busy::new(per_s, false).run(20, periods);
        assert!(unshared * 10 <= half, "first come, first served leaves {unshared} of {half}");
    }
}

#[test]
fn a_member_alone_has_all_of_it() {
    let mut busy = Busy::new(25, true);
    let who = user("alone");
    let let_in = (0..10_000).filter(|tick| busy.is_let_in(&who, tick * 1000)).count();
    assert_eq!(let_in, 250);
}

#[test]
fn a_refusal_is_forgotten_after_a_window() {
    let (share, here) = (share(2), room("x"));
    let mut contests = Contests::default();
    contests.contest(&share, &here, &user("modest"), 0);
    contests.charge(&share, &here, &user("greedy"), 500_000);
    let wait = |who: &str, now| contests.wait(&share, &here, &user(who), now);
    assert_eq!(wait("greedy", 900_000), Some(100_000), "to the end of the window");
    assert_eq!(wait("modest", 900_000), None);
    assert_eq!(wait("greedy", 1_000_000), None);
    assert_eq!(contests.wait(&share, &room("y"), &user("greedy"), 900_000), None);
}

#[test]
fn what_is_remembered_is_bounded_and_shrinks() {
    let share = share(25);
    let mut contests = Contests::default();
    for number in 0..CONTESTED_MAX + 10 {
        contests.contest(&share, &room(&number.to_string()), &user("a"), 0);
    }
    assert_eq!((contests.contested.len(), contests.order.len()), (CONTESTED_MAX, CONTESTED_MAX));
    for number in 0..CONTESTED_MAX {
        contests.contest(&share, &room(&format!("later-{number}")), &user("a"), 5_000_000);
    }
    assert_eq!(contests.contested.len(), CONTESTED_MAX, "the earlier ones made room");
    assert_eq!(contests.order.len(), CONTESTED_MAX);
    for number in 0..COUNTED_MAX + 10 {
        contests.charge(&share, &room("later-0"), &user(&number.to_string()), 5_000_000);
    }
    assert_eq!(contests.contested[&room("later-0")].sent.len(), COUNTED_MAX);
}
