"""What a report says, computed from the record of a run."""
