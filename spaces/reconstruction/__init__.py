"""Layer-wise reconstruction by least squares."""
