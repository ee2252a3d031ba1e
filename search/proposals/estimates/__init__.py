"""What a file that treats layers should measure, and what it should compute with, by the trials so far."""
