"""The profile of microcontrollers: int8 inputs and outputs, TensorFlow Lite for Microcontrollers, little memory."""

from litetuner.objectives.profiles.profile import Profile

# The operators that ``python/tflite_micro/python_ops_resolver.cc`` registers, without custom operators; commit 85e19dd
# of github.com/tensorflow/tflite-micro. The port to a chip may have fewer operators, and a kernel may not support all
# types.
OPERATORS = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D
DEQUANTIZE DIV ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL
LOG LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL
NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_MAX RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT
SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""


class Mcu(Profile):
    """Full int8 files for TensorFlow Lite for Microcontrollers.

    In flash, clustered weights are stored as look-up tables if a check on samples gives the same outputs. Everything
    else is stored without compression, so sparsity saves nothing. ``steps`` are the steps that make such a file smaller
    or faster. Clusters cost time in each inference, because their weights are decoded into the arena. Other weights are
    read directly from flash, so ``max-memory`` bounds only the tensor arena.
    """

    name = "mcu"
    runtime = "TensorFlow Lite for Microcontrollers"
    io = "int8"
    steps = ("channels", "finetune", "cluster", "qat", "int8", "reconstruct")
    settings = {"io": "int8", "size": "flash", "steps": steps}  # noqa: RUF012
    operators = frozenset(OPERATORS.split())
    source = "python_ops_resolver.cc of github.com/tensorflow/tflite-micro at 85e19dd"
    memory = "arena_bytes"
    budgets = {"max-flash": "flash", "max-memory": "memory (the tensor arena)"}  # noqa: RUF012
