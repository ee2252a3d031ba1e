"""Data sources: files, folders of images, and user functions."""
