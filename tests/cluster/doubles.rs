//! What doubles of a store share: each has a store behind it, and changes some of its calls.

/// Methods of a port that ask the store behind, `self.inner`.
macro_rules! pass_on {
    ($($name:ident($($given:ident: $type:ty)?) -> $answer:ty;)+) => {
        $(fn $name(&self $(, $given: $type)?) -> $answer {
            self.inner.$name($($given)?)
        })+
    };
}
pub(crate) use pass_on;
