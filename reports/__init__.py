"""What is shown of a run: the view, its figures, the HTML report, tables and the export."""
