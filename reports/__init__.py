"""Reports of a run: ``model`` computes everything; the HTML page, terminal tables, files and exports render it."""
