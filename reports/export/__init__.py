"""The exported file and what goes with it."""
