"""Data that is sent between processes: jobs as JSON, the sources of models and data, the environment of a result."""
