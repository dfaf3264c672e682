//! The files in `config/deploy`: each is read back, and a node runs with what it describes.

mod compose;
mod containerfile;
mod control_group;
mod document;
mod jail;
mod kubernetes;
mod surroundings;
mod together;
mod unit;
