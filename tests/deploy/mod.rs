//! What is deployed beside the program: each is read back, and a node runs with what it describes.

mod alerts;
mod compose;
mod containerfile;
mod control_group;
mod document;
mod jail;
mod kubernetes;
mod surroundings;
mod together;
mod unit;
