"""What is measured once the search is over."""
