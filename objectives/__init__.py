"""What a file is worth: metrics, sizes, latency on a target, and the statistics behind them."""
