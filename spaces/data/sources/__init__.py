"""Where data come from: files, folders of images, functions of the user."""
