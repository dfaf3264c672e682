//! What a load consists of.

use std::fmt;
use std::str::FromStr;

/// The largest weight of a kind.
const WEIGHT_MAX: u32 = 1_000_000;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadKind {
    /// A direct message.
    Dm,
    /// A message to a room.
    Room,
    /// An event to the watchers of a topic.
    Topic,
    /// A page of history.
    History,
    /// A user joins a room, or leaves it.
    Join,
}

impl LoadKind {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 5] = [Self::Dm, Self::Room, Self::Topic, Self::History, Self::Join];

    /// Its word in a mix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dm => "dm",
            Self::Room => "room",
            Self::Topic => "topic",
            Self::History => "history",
            Self::Join => "join",
        }
    }

    /// Whether it is a stored message.
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Dm | Self::Room)
    }

    /// Whether sessions get something by it.
    pub const fn is_delivered(self) -> bool {
        matches!(self, Self::Dm | Self::Room | Self::Topic)
    }

    /// Its place in [`LoadKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Kinds with their weights, such as `dm=60,room=20`. A kind that is not named has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadMix {
    weights: [u32; LoadKind::ALL.len()],
}

impl FromStr for LoadMix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = [None; LoadKind::ALL.len()];
        for part in text.split(',') {
            let (name, weight) =
                part.split_once('=').ok_or(format!("`{part}` is no KIND=WEIGHT"))?;
            let kind =
                LoadKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                    format!(
                        "there is no kind `{name}`: dm, room, topic, history and join are known"
                    )
                })?;
            let weight: Option<u32> = weight.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
            let weight = weight
                .ok_or(format!("`{part}`: a weight is a whole number of 0 to {WEIGHT_MAX}"))?;
            if weights[kind.index()].replace(weight).is_some() {
                return Err(format!("`{name}` has two weights"));
            }
        }
        let mix = Self { weights: weights.map(Option::unwrap_or_default) };
        if mix.total() == 0 { Err("all weights are 0".into()) } else { Ok(mix) }
    }
}

impl fmt::Display for LoadMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = LoadKind::ALL.into_iter().filter(|kind| self.has(*kind));
        let words = named.map(|kind| format!("{}={}", kind.name(), self.weights[kind.index()]));
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

impl LoadMix {
    /// The sum of all weights.
    pub(super) fn total(&self) -> u32 {
        self.weights.iter().sum()
    }

    /// Whether a kind has a weight.
    pub fn has(&self, kind: LoadKind) -> bool {
        self.weights[kind.index()] > 0
    }

    /// The kind of a draw from 0 to below [`LoadMix::total`].
    pub(super) fn kind(&self, draw: u32) -> LoadKind {
        let mut left = draw;
        for kind in LoadKind::ALL {
            match left.checked_sub(self.weights[kind.index()]) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        LoadKind::Dm
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let mix: LoadMix = "room=2,dm=3,join=1".parse().unwrap();
        let kinds: Vec<_> = (0..mix.total()).map(|draw| mix.kind(draw).name()).collect();
        assert_eq!(kinds, ["dm", "dm", "dm", "room", "room", "join"]);
        assert_eq!(mix.to_string(), "dm=3,room=2,join=1");
        assert!(mix.has(LoadKind::Join) && !mix.has(LoadKind::Topic));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<LoadMix>().unwrap_err();
        assert_eq!(error("dm=0,room=0"), "all weights are 0");
        assert!(error("dm=1,chat=2").starts_with("there is no kind `chat`: dm, room,"));
        assert_eq!(error("dm=1,room=1,dm=2"), "`dm` has two weights");
        assert_eq!(error("dm"), "`dm` is no KIND=WEIGHT");
        assert_eq!(error("dm=-1"), "`dm=-1`: a weight is a whole number of 0 to 1000000");
        assert_eq!(error("dm=1000001"), "`dm=1000001`: a weight is a whole number of 0 to 1000000");
        assert_eq!(error(""), "`` is no KIND=WEIGHT");
    }

    proptest! {
        #[test]
        fn any_text_is_a_mix_or_a_reason(text in ".{0,40}") {
            if let Ok(mix) = text.parse::<LoadMix>() {
                prop_assert_eq!(mix.to_string().parse::<LoadMix>(), Ok(mix));
            }
        }
    }
}
