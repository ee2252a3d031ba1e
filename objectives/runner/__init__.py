"""The latency runner: a program of its own, copied to other machines as it is."""
