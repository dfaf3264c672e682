use super::*;

/// When the reads of these tests begin, by the wall clock.
const BEGUN: Micros = Micros(100_000_000);

const LIVE: WatermarkSnapshot = WatermarkSnapshot { frozen: false, gaps: 3, decided: Micros(0) };
const FROZEN: WatermarkSnapshot = WatermarkSnapshot { frozen: true, ..LIVE };

/// The cursor that a session came with: above [`BEGUN`] less the margin.
const OWN: Micros = Micros(90_000_000);

fn position(cursor: Micros) -> SessionPosition {
    SessionPosition::new(cursor, Safeguards::default())
}

fn reading(viewed: WatermarkSnapshot, confirmed: bool) -> CatchUpRead {
    CatchUpRead::begin(BEGUN, viewed, confirmed)
}

/// A session that was sent its cursor, and takes no part in the watermark.
fn past_first_cursor() -> SessionPosition {
    let mut position = position(OWN);
    position.read(reading(FROZEN, true), FROZEN, Micros(0));
    position
}

/// A session that takes part in the watermark.
fn shared() -> SessionPosition {
    let mut position = position(OWN);
    position.read(reading(LIVE, true), LIVE, Micros(0));
    position
}

/// What a read gives a session that came with a cursor, with a watermark far above: its cursor, and
/// whether it takes part in the watermark.
fn read(cursor: Micros, reading: CatchUpRead, now: WatermarkSnapshot) -> (Micros, bool) {
    let mut position = position(cursor);
    let cursor = position.read(reading, now, Micros(200_000_000));
    assert!(position.is_told());
    (cursor, position.is_shared())
}

#[test]
fn nothing_is_told_before_the_first_read_is_done() {
    let mut position = position(OWN);
    assert!(!position.is_told() && !position.is_shared());
    assert_eq!(position.above(Micros(200_000_000)), OWN, "it reads from its own cursor");
    assert_eq!(position.cursor(Micros(200_000_000)), None);
    assert_eq!(position.round(RoundKind::Repair, None, true, Micros(200_000_000)), None);
    position.skipped(Micros(1));
    assert!(!position.is_told());
}

#[test]
fn a_read_gives_the_largest_of_three_bounds() {
    let decided = |micros| WatermarkSnapshot { decided: Micros(micros), ..FROZEN };
    let cases = [
        (90_000_000, 80_000_000, 90_000_000, "its own cursor"),
        (10, 20, 85_000_000, "15 s before the reads began"),
        (10, 88_000_000, 88_000_000, "what was decided when they began"),
    ];
    for (own, before, expected, why) in cases {
        let now = decided(99_000_000);
        let cursor = read(Micros(own), reading(decided(before), true), now);
        assert_eq!(cursor, (Micros(expected), false), "{why}");
    }
}

#[test]
fn a_read_that_was_heard_beside_and_unbroken_shares_the_watermark() {
    assert_eq!(read(OWN, reading(LIVE, true), LIVE), (Micros(200_000_000), true));
    let mut ahead = position(OWN);
    assert_eq!(ahead.read(reading(LIVE, true), LIVE, Micros(7)), OWN, "it may be further");
    assert!(ahead.is_shared());
}

#[test]
fn a_read_without_proof_gives_a_cursor_of_its_own() {
    let broken = WatermarkSnapshot { frozen: true, gaps: 4, ..LIVE };
    let repaired = WatermarkSnapshot { frozen: false, gaps: 4, ..LIVE };
    let cases = [
        (reading(LIVE, false), LIVE, "live messages were not received"),
        (reading(LIVE, true).unconfirmed(), LIVE, "nor was it kept"),
        (reading(FROZEN, true), FROZEN, "frozen all along"),
        (reading(FROZEN, true), LIVE, "frozen when it began"),
        (reading(LIVE, true), broken, "broken since"),
        (reading(LIVE, true), repaired, "broken and repaired since"),
    ];
    for (reading, now, why) in cases {
        assert_eq!(read(OWN, reading, now), (OWN, false), "{why}");
    }
}

#[test]
fn a_read_takes_nobody_out_of_the_watermark() {
    let mut position = shared();
    let cursor = position.read(reading(FROZEN, false), FROZEN, Micros(95_000_000));
    assert_eq!((cursor, position.is_shared()), (Micros(95_000_000), true));
}

#[test]
fn a_second_read_begins_at_the_first_ones_cursor() {
    let mut position = position(Micros(10));
    let cursor = position.read(reading(FROZEN, true), FROZEN, Micros(0));
    assert_eq!(position.above(Micros(200_000_000)), cursor);
    assert_eq!(position.cursor(Micros(200_000_000)), Some(cursor), "the watermark is not its own");
}

#[test]
fn a_session_that_shares_has_the_watermark() {
    let position = shared();
    assert_eq!(position.above(Micros(5)), Micros(5));
    assert_eq!(position.cursor(Micros(5)), Some(Micros(5)));
}

#[test]
fn a_round_by_kind_and_confirmation() {
    use RoundKind::{Pull, Repair};
    let (ahead, behind) = (Some(Micros(95_000_000)), Some(Micros(5)));
    let watermark = Micros(96_000_000);
    let cases = [
        (Repair, behind, true, watermark, true),
        (Repair, None, true, watermark, true),
        (Repair, ahead, false, Micros(95_000_000), false),
        (Pull, ahead, true, Micros(95_000_000), false),
        (Pull, behind, true, OWN, false),
        (Pull, None, true, OWN, false),
    ];
    for (kind, decided, confirmed, expected, shares) in cases {
        let mut position = past_first_cursor();
        let cursor = position.round(kind, decided, confirmed, watermark);
        let what = format!("{kind:?} {decided:?} {confirmed}");
        assert_eq!((cursor, position.is_shared()), (Some(expected), shares), "{what}");
        let mut position = shared();
        let cursor = position.round(kind, decided, confirmed, watermark);
        assert_eq!((cursor, position.is_shared()), (Some(watermark), true), "shared, {what}");
    }
}

#[test]
fn who_was_skipped_keeps_what_he_had() {
    let mut own = past_first_cursor();
    own.skipped(Micros(200_000_000));
    assert_eq!(own.cursor(Micros(300_000_000)), Some(OWN));
    let mut shared = shared();
    shared.skipped(Micros(95_000_000));
    assert!(!shared.is_shared());
    assert_eq!(shared.cursor(Micros(300_000_000)), Some(Micros(95_000_000)));
    assert_eq!(shared.above(Micros(300_000_000)), Micros(95_000_000), "and reads from there");
}

#[test]
fn a_read_by_known_heads_gives_the_watermark_or_nothing() {
    let ahead = WatermarkSnapshot { decided: Micros(99_000_000), ..LIVE };
    let known = |confirmed| CatchUpRead::begin(BEGUN, ahead, confirmed).by_known_heads();
    assert_eq!(read(Micros(10), known(true), ahead), (Micros(200_000_000), true));
    assert_eq!(read(Micros(10), known(false), ahead), (Micros(10), false));
    let broken = WatermarkSnapshot { gaps: 4, ..ahead };
    assert_eq!(read(Micros(10), known(true), broken), (Micros(10), false));
}
