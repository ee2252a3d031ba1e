"""A user's model, loaded safely from every supported kind of file."""
