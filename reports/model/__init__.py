"""The contents of reports, computed from the record of a run."""
