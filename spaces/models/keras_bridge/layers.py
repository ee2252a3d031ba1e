"""The tf_keras layer for each Keras 3 layer, and the translation of its settings."""

from collections.abc import Callable
from typing import Any

import numpy as np

from litetuner.spaces.models.keras_bridge.functions import Call, UntranslatableError, tf_layers
from litetuner.spaces.models.keras_bridge.operators import TAILS, activation_name, native_activation
from litetuner.spaces.models.keras_bridge.settings import FUSED, settings

# Layers that are the same in both libraries after their settings are translated. Layers in no list are rejected.
_SAME = """
Activation ActivityRegularization Add AlphaDropout Attention AdditiveAttention Average AveragePooling1D AveragePooling2D
AveragePooling3D BatchNormalization CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D
Conv3DTranspose ConvLSTM1D ConvLSTM2D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU
EinsumDense Embedding Flatten GRU GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization LSTM
LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention
Multiply PReLU Permute ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN Softmax
SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract UnitNormalization UpSampling1D UpSampling2D UpSampling3D
ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
SAME = frozenset(_SAME.split())

# These layers do nothing at inference and are left out. (Augmentation belongs to the data; tfmot cannot wrap it.)
_NOTHING = """
AugMix CutMix Identity MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert
RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation
RandomWidth RandomZoom
"""
NOTHING = frozenset(_NOTHING.split())


def is_standard(layer: Any, library: Any) -> bool:
    """True if the layer's class is shipped by ``library`` (``keras`` or ``tf_keras``), false for a user's subclass."""
    return type(layer) is getattr(library.layers, type(layer).__name__, None)


def translate(layer: Any, name: str, keep: Callable[[Any, Any], None]) -> Call:
    """A callable of tf_keras layers that computes the same as the Keras 3 ``layer``.

    The layer with the weights is called ``name``. ``keep(layer, twin)`` is called for every pair whose weights must be
    copied. Raises ``UntranslatableError``.
    """
    import keras

    kind = type(layer).__name__
    if kind == "Lambda":
        raise UntranslatableError("it is a Lambda, which is code and not a layer; replace it with standard layers")
    if kind == "Pipeline":  # a sequence of layers
        return _one_after_another([translate(inner, f"{name}_{inner.name}", keep) for inner in layer.layers])
    if type(layer).__module__ == CONVNEXT and kind in ("LayerScale", "StochasticDepth"):
        if kind == "StochasticDepth":
            return _pass_on
        # A factor for each channel becomes a setting. It is no longer trained, like a folded batch normalization.
        scale: Call = tf_layers().Rescaling(layer.gamma.numpy().tolist(), name=name)
        return scale
    if not is_standard(layer, keras):
        if type(layer).__module__.startswith("keras."):
            raise UntranslatableError(f"tf_keras has no layer that does what {kind} does")
        return _custom(layer, name, keep)
    if kind in NOTHING:
        return _pass_on
    if kind == "SpectralNormalization":  # at inference this is the inner layer, whose kernel is normalized already
        return translate(layer.layer, name, keep)
    special = SPECIAL.get(kind)
    if special is not None:
        twin = special(layer, name)
    elif kind in SAME:
        twin = _same(layer, name)
    else:
        raise UntranslatableError(f"tf_keras has no layer that does what {kind} does")
    if kind != "Normalization":  # its statistics are settings of the twin, not weights
        keep(layer, twin)
    return _with_tail(layer, twin, name) if kind in FUSED else twin


def _custom(layer: Any, name: str, keep: Callable[[Any, Any], None]) -> Call:
    """The user's own tf_keras class of the same name, from ``--custom-objects``."""
    import tf_keras

    kind = type(layer).__name__
    twin_class = tf_keras.utils.get_custom_objects().get(kind)
    if twin_class is None:
        raise UntranslatableError(
            f"{kind} is a custom layer, and no tf_keras twin of it is known. To train it, let --custom-objects module:dict map "
            f"{kind!r} to a pair (the Keras 3 class, the tf_keras class)"
        )
    config = {key: value for key, value in layer.get_config().items() if key not in ("name", "dtype", "trainable")}
    twin: Call = twin_class.from_config(config | {"name": name})
    keep(layer, twin)
    return twin


def _pass_on(inputs: Any, **_: Any) -> Any:
    return inputs


def _one_after_another(calls: list[Call]) -> Call:
    def run(inputs: Any) -> Any:
        for call in calls:
            inputs = call(inputs)
        return inputs

    return run


# This module defines two layers (LayerScale, StochasticDepth). StochasticDepth drops nothing at inference.
CONVNEXT = "keras.src.applications.convnext"


def _with_tail(layer: Any, twin: Any, name: str) -> Call:
    """The twin, followed by its activation as a layer if tf_keras cannot fuse it."""
    if layer.activation is None or native_activation(layer.activation) is not None:
        return twin
    bare = type(layer).__name__ == "Activation"
    tail = _tail(layer.activation, name if bare else f"{name}_activation")
    if bare:
        return tail
    return lambda *args, **kwargs: tail(twin(*args, **kwargs))


def _tail(activation: Any, name: str) -> Call:
    import keras

    if isinstance(activation, keras.layers.Layer):
        if activation.weights:
            raise UntranslatableError(f"its activation {type(activation).__name__} has weights")
        return translate(activation, name, lambda _layer, _twin: None)
    found = activation_name(activation)
    if found not in TAILS:
        raise UntranslatableError(
            f"tf_keras has no activation {found or getattr(activation, '__name__', activation)!r}"
        )
    return TAILS[found](name)


def _same(layer: Any, name: str) -> Any:
    twin = getattr(tf_layers(), type(layer).__name__)
    return twin(name=name, **settings(layer, twin))


def _normalization(layer: Any, name: str) -> Any:
    """Mean and variance become settings: as weights, tf_keras would accept them only after ``adapt``."""
    mean, variance = (np.asarray(layer.mean), np.asarray(layer.variance))
    if mean.dtype == object or variance.dtype == object:
        raise UntranslatableError("it was never adapted to data: call adapt() and save the model again")
    # The layer's statistics have the shape (1, ..., k); the twin creates that shape from the values along the axis.
    axis = layer.get_config()["axis"]
    single = axis in (None, (), [])
    known = [float(item.reshape(-1)[0]) if single else item.squeeze().tolist() for item in (mean, variance)]
    return tf_layers().Normalization(axis=axis, mean=known[0], variance=known[1], invert=layer.invert, name=name)


def _bidirectional(layer: Any, name: str) -> Any:
    return tf_layers().Bidirectional(
        _inner(layer.forward_layer), merge_mode=layer.merge_mode, backward_layer=_inner(layer.backward_layer), name=name
    )


def _inner(layer: Any) -> Any:
    """The twin of a layer inside a wrapper; it must be a single tf_keras layer."""
    import keras
    import tf_keras

    if isinstance(layer, keras.Model):
        raise UntranslatableError("it wraps a whole model")
    found = translate(layer, layer.name, lambda _layer, _twin: None)
    if not isinstance(found, tf_keras.layers.Layer):
        raise UntranslatableError(f"the {type(layer).__name__} inside it is not a single layer in tf_keras")
    return found


CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell")


def _rnn(layer: Any, name: str) -> Any:
    import keras

    cells = layer.cell.cells if type(layer.cell).__name__ == "StackedRNNCells" else [layer.cell]
    for cell in cells:
        if type(cell).__name__ not in CELLS or not is_standard(cell, keras):
            raise UntranslatableError(f"its cell is a {type(cell).__name__}, which tf_keras does not know")
    twins = [_same(cell, cell.name) for cell in cells]
    config = {key: getattr(layer, key) for key in ("return_sequences", "return_state", "go_backwards", "stateful")}
    return tf_layers().RNN(twins if len(twins) > 1 else twins[0], unroll=layer.unroll, name=name, **config)


SPECIAL: dict[str, Callable[[Any, str], Any]] = {
    "Normalization": _normalization,
    "Bidirectional": _bidirectional,
    "RNN": _rnn,
    "TimeDistributed": lambda layer, name: tf_layers().TimeDistributed(_inner(layer.layer), name=name),
}
