"""TensorFlow Lite Micro on this machine: its interpreter, its arena, its compression of clustered weights."""
