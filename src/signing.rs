//! Signing of requests.
