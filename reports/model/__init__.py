"""What a report shows, computed from the record of a run."""
