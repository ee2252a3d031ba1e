"""Views of a run for notebooks: pandas tables, plotly figures, and HTML."""
