"""Load a user's model safely from every supported kind of file."""
