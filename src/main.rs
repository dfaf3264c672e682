//! The program `narrowcast`: its commands come with the rooms they need.

fn main() {}
