"""Reports of a run: the model (all computing), and the HTML page, terminal tables, files and exports that render it."""
