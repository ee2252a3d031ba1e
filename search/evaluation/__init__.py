"""From a candidate to its measurements."""
