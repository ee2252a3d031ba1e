"""The latency runner: a stand-alone program that is copied to other machines unchanged."""
