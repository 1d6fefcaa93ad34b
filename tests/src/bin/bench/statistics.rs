//! Percentiles, medians and rates.

use crate::tally::Receipt;

/// Of sorted microseconds, in milliseconds; 0 of none.
pub(crate) fn percentile_ms(sorted: &[i64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |micros| *micros as f64 / 1000.0)
}

/// The latencies of these receipts, sorted, without the first tenth, in which connections are opened.
pub(crate) fn settled(receipts: &[Receipt]) -> Vec<i64> {
    let settled = receipts.get(receipts.len() / 10..).unwrap_or_default();
    let mut latencies: Vec<i64> = settled.iter().map(|receipt| receipt.latency).collect();
    latencies.sort_unstable();
    latencies
}

/// Receipts a second, from the first to the last of those given; 0 of fewer than two.
pub(crate) fn rate(receipts: &[Receipt]) -> f64 {
    match receipts {
        [first, .., last] if last.at > first.at => (receipts.len() - 1) as f64 / seconds(last.at - first.at),
        _ => 0.0,
    }
}

/// Requests a second over the same time, of receipts of one path.
pub(crate) fn request_rate(receipts: &[Receipt]) -> f64 {
    match receipts {
        [first, .., last] if last.at > first.at => (last.request - first.request) as f64 / seconds(last.at - first.at),
        _ => 0.0,
    }
}

/// Microseconds as seconds.
pub(crate) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The middle value; of an even number the mean of the two in the middle. `None` of none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_that_so_many_percent_do_not_exceed() {
        let sorted: Vec<i64> = (1..=200).map(|n| n * 1000).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile_ms(&sorted, percent)), [100.0, 198.0, 200.0]);
        assert_eq!(percentile_ms(&[7000], 50), 7.0);
        assert_eq!(percentile_ms(&[], 99), 0.0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_rate_counts_what_came_after_the_first() {
        let receipts: Vec<_> = (0..=4).map(|n| Receipt { at: n * 500_000, latency: 0, request: 1 }).collect();
        assert_eq!(rate(&receipts), 2.0);
        assert_eq!(rate(&receipts[..1]), 0.0);
    }
}
