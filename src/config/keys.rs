//! The names of all settings.

/// What may stand in `taskwire.toml`; in the environment with `TASKWIRE_` before it (those of OpenTelemetry as they are).
/// Both programs read one file, so each knows the settings of both.
pub(super) const KNOWN: [&str; 46] = [
    "actor_wait_ms",
    "alert_failing_after_seconds",
    "alert_gather_seconds",
    "allow_http_targets",
    "api_listen",
    "batch_max",
    "cors_origins",
    "database",
    "delivery_retention_days",
    "dev",
    "disable_failing_after_hours",
    "egress_proxy",
    "egress_proxy_file",
    "event_retention",
    "extra_ca_file",
    "frame_ancestors",
    "grace_ms",
    "idle_checkpoint_ms",
    "indexer_listen",
    "jwt_audience",
    "jwt_issuer",
    "jwt_jwks_file",
    "jwt_secret",
    "jwt_secret_file",
    "keep_error_body_bytes",
    "lease_ms",
    "log_format",
    "mapping",
    "master_key",
    "master_key_file",
    "max_in_flight",
    "max_in_flight_per_webhook",
    "mongodb_uri",
    "mongodb_uri_file",
    "on_gap",
    "otel_exporter_otlp_endpoint",
    "otel_exporter_otlp_headers",
    "otel_exporter_otlp_protocol",
    "retry_after_cap_seconds",
    "rotation_max_hours",
    "stream_await_ms",
    "target_allowlist",
    "trace_percent",
    "trace_to_partners",
    "trusted_proxies",
    "user_rate_per_minute",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::KNOWN;

    #[test]
    fn the_readme_names_every_setting_and_no_other() {
        let readme = include_str!("../../README.md");
        let words = readme.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        let named = words.filter_map(|word| match word.strip_prefix("TASKWIRE_") {
            Some(key) => Some(key.to_lowercase()),
            None => word.starts_with("OTEL_").then(|| word.to_lowercase()),
        });
        let named: BTreeSet<String> = named.filter(|key| !key.is_empty()).collect();
        assert_eq!(named, KNOWN.iter().map(|key| (*key).to_owned()).collect());
    }
}
