"""How each layer gets its treatment: by the error at the model's outputs and by the compressed size."""
