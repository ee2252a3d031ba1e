"""What crosses between processes: jobs as JSON, where a worker finds models and data, what a result was computed with."""
