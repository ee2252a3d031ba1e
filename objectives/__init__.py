"""The objectives of a file: metrics, sizes, latency on a target, and the statistics for them."""
