//! Networks by name, one a file, each built by the calls that users of the library have.

pub mod mlp;
