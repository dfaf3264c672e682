//! What every bus must do, run on each backend.
