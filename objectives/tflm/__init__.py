"""TensorFlow Lite Micro on this machine: its interpreter, its arena, and its compression of clustered weights."""
