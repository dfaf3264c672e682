//! `bench load`: against live nodes, behind relays that break what nodes promise, beside
//! the scripts of `scripts/k6`, and with bad input.

mod beside_k6;
mod controls;
mod load_run;
mod mistakes;
mod passes;
