"""What single sections of the report show."""
