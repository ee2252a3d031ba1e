"""A Ray cluster: what runs on its nodes, and what is sent to them."""
