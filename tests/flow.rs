//! From the task service's write to what must follow.

mod derived;
