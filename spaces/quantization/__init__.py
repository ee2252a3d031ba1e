"""Post-training quantization: precisions, algorithms, what each operator takes."""
