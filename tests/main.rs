//! The real programs against a real MongoDB and a real receiver, in one binary.

mod flow;
