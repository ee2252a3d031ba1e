"""Quantization: precisions, algorithms, what each operator supports, and schemes for quantization-aware training."""
