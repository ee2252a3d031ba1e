"""Where a copy of the study is kept: SQLite or PostgreSQL."""
