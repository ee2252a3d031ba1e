"""What a notebook shows of a run: tables of pandas, figures of plotly, and HTML."""
