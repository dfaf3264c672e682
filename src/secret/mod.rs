//! Secrets: values that print masked, and files that hold one.

mod file;
mod masked;

pub use file::{SecretError, read_secret_file};
pub use masked::{MASKED, Secret};
