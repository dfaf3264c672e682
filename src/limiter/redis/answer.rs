//! Reads the script's answer, and trusts it only as far as it can be true.

use std::time::Duration;

use ::redis::{ServerErrorKind, Value};

use crate::limiter::gcra::WINDOW_MICROS;
use crate::limiter::{LimitDecision, LimitedCall, LimiterError, RateLimit, RateLimited};

/// How many characters of an answer that makes no sense are repeated.
const REPEATED_CHARS: usize = 120;

/// Whether the server does not know the script. Then nothing was run.
pub(super) fn is_unknown_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

/// Reads the decision on a call.
pub(super) fn verdict(call: &LimitedCall, answer: &Value) -> Result<LimitDecision, LimiterError> {
    if let Value::ServerError(error) = answer {
        return Err(LimiterError::Refused(shortened(error.to_string())));
    }
    let malformed = || LimiterError::Malformed(shortened(format!("{answer:?}")));
    let Value::Array(items) = answer else { return Err(malformed()) };
    let read = match items.as_slice() {
        [Value::Int(1), Value::Int(0), Value::Int(remaining @ 0..), Value::Int(0)] => {
            Some(LimitDecision::Allowed { remaining: *remaining as u64 })
        }
        [Value::Int(0), Value::Int(number), Value::Int(0), Value::Int(retry)] => {
            refused(call, *number, *retry).map(LimitDecision::Refused)
        }
        _ => None,
    };
    read.ok_or_else(malformed)
}

fn refused(call: &LimitedCall, number: i64, retry: i64) -> Option<RateLimited> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    let charge = call.charges.get(index)?;
    match retry {
        -1 => Some(RateLimited::never(charge.policy)),
        // A longer wait would shut the user out for as long, so it is not trusted.
        1.. if retry as u64 <= longest(charge.policy, charge.cost) => {
            let retry_after = Some(Duration::from_millis(retry as u64));
            Some(RateLimited { policy: charge.policy, retry_after })
        }
        _ => None,
    }
}

/// Returns the longest wait that is possible, in milliseconds: for the cost after a burst that is
/// used up, and the window.
fn longest(policy: RateLimit, cost: u32) -> u64 {
    (policy.rate().ticks(cost) + WINDOW_MICROS).div_ceil(1000)
}

fn shortened(text: String) -> String {
    text.chars().take(REPEATED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;
    use proptest::prelude::*;

    const POLICY: RateLimit = RateLimit { name: "sends", burst: 10, per_s: 10 };

    fn call() -> LimitedCall {
        LimitedCall::one(&UserId::parse("alice").unwrap(), POLICY, 2)
    }

    fn ints(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().copied().map(Value::Int).collect())
    }

    #[test]
    fn what_the_script_says_is_understood() {
        let refused = |micros| LimitDecision::Refused(RateLimited::after_micros(POLICY, micros));
        for (numbers, read) in [
            ([1, 0, 8, 0], LimitDecision::Allowed { remaining: 8 }),
            ([0, 1, 0, 200], refused(200_000)),
            ([0, 1, 0, 1200], refused(1_200_000)),
            ([0, 1, 0, -1], LimitDecision::Refused(RateLimited::never(POLICY))),
        ] {
            assert_eq!(verdict(&call(), &ints(&numbers)), Ok(read));
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        let list = |items: &[Value]| Value::Array(items.to_vec());
        let text = Value::BulkString(b"1".to_vec());
        for answer in [
            Value::Nil,
            Value::Okay,
            Value::Int(1),
            Value::BulkString(vec![0xff; 1 << 20]),
            ints(&[]),
            ints(&[1, 0, 8]),
            ints(&[1, 0, 8, 0, 0]),
            ints(&[2, 0, 8, 0]),
            ints(&[1, 0, -1, 0]),
            ints(&[1, 1, 8, 0]),
            ints(&[1, 0, 8, 5]),
            ints(&[0, 0, 0, 5]),
            ints(&[0, 2, 0, 5]),
            ints(&[0, 1, 0, 0]),
            ints(&[0, 1, 0, -2]),
            ints(&[0, 1, 0, 1201]),
            ints(&[0, 1, 0, i64::MAX]),
            ints(&[0, i64::MIN, 0, 5]),
            list(&[text.clone(), Value::Int(0), Value::Int(8), Value::Int(0)]),
            list(&[Value::Double(1.0), Value::Int(0), Value::Int(8), Value::Int(0)]),
        ] {
            let Err(LimiterError::Malformed(told)) = verdict(&call(), &answer) else {
                panic!("{answer:?} is a decision")
            };
            assert!(told.len() <= 4 * REPEATED_CHARS);
        }
    }

    proptest! {
        #[test]
        fn any_four_integers_are_a_verdict_or_an_error(numbers in prop::array::uniform4(-3..5_i64)) {
            let read = verdict(&call(), &ints(&numbers));
            prop_assert_eq!(matches!(read, Ok(LimitDecision::Allowed { .. })), numbers[0] == 1 && read.is_ok());
        }
    }
}
