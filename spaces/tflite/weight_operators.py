"""Which TensorFlow Lite operators have weights, and which operators each Keras layer is converted to."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class WeightOperator:
    """The position of an operator's weights: the index of the weight input, and the axis of the output channels.

    ``activation_input`` is the index of the input with the activations.
    """

    weight_input: int
    output_axis: int
    activation_input: int = 0


WEIGHT_OPERATORS: dict[str, WeightOperator] = {
    "CONV_2D": WeightOperator(1, 0),
    "DEPTHWISE_CONV_2D": WeightOperator(1, 3),
    "FULLY_CONNECTED": WeightOperator(1, 0),
    "TRANSPOSE_CONV": WeightOperator(1, 0, activation_input=2),
    "CONV_3D": WeightOperator(1, 4),
    "CONV_3D_TRANSPOSE": WeightOperator(1, 3, activation_input=2),
    "BATCH_MATMUL": WeightOperator(1, -1),
    "EMBEDDING_LOOKUP": WeightOperator(1, 0),
    "GATHER": WeightOperator(0, 0, activation_input=1),
}

# Keras layer type -> the operators that have its weights, as observed in converted files.
OPERATORS_OF_LAYER: dict[str, tuple[str, ...]] = {
    "Conv1D": ("CONV_2D",),
    "Conv1DTranspose": ("TRANSPOSE_CONV",),
    "Conv2D": ("CONV_2D",),
    "Conv2DTranspose": ("TRANSPOSE_CONV",),
    "Conv3D": ("CONV_3D",),
    "Conv3DTranspose": ("CONV_3D_TRANSPOSE",),
    "Dense": ("FULLY_CONNECTED",),
    "DepthwiseConv1D": ("DEPTHWISE_CONV_2D",),
    "DepthwiseConv2D": ("DEPTHWISE_CONV_2D",),
    "EinsumDense": ("FULLY_CONNECTED",),
    "Embedding": ("GATHER",),
    "GRU": ("WHILE",),
    "LSTM": ("UNIDIRECTIONAL_SEQUENCE_LSTM",),
    "MultiHeadAttention": ("FULLY_CONNECTED",),
    "PReLU": ("PRELU",),
    "SeparableConv1D": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "SeparableConv2D": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "SimpleRNN": ("WHILE",),
}
