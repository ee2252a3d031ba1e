"""The user's own layers and functions, named by ``--custom-objects module:dict``."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.tf import load
from litetuner.spaces.user_function import load_attribute, told

EXAMPLE = "{'MyLayer': MyLayer} or, to train it too, {'MyLayer': (MyLayer, MyTfKerasLayer)}"


@dataclasses.dataclass(frozen=True)
class CustomObjects:
    """What a model file names: ``keras3`` classes and functions to open it, ``twins`` of tf_keras to rebuild it for training."""

    keras3: Mapping[str, Any]
    twins: Mapping[str, Any]


NONE = CustomObjects({}, {})


def load_custom_objects(spec: str | None) -> CustomObjects:
    """The objects of ``module:dict``, and registers their tf_keras twins.

    The dict (or a function that returns it) gives for each name a Keras 3 class or function; a tf_keras class, for files of
    Keras 2; or a pair of both, and then models with it can be trained. A twin is made by ``from_config`` of the Keras 3
    layer's ``get_config()`` and takes its weights in order. Raises ``ConfigError``.
    """
    if spec is None:
        return NONE
    load()
    import tf_keras

    found = load_attribute(spec, "--custom-objects")
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(f"--custom-objects: {spec} failed: {told(error)}") from error
    if not isinstance(found, Mapping):
        raise ConfigError(f"--custom-objects: {spec} is a {type(found).__name__}, it must be a dict such as {EXAMPLE}.")
    keras3: dict[str, Any] = {}
    twins: dict[str, Any] = {}
    for name, value in found.items():
        values = list(value) if isinstance(value, tuple | list) else [value]
        if not isinstance(name, str) or not 1 <= len(values) <= 2 or not all(callable(item) for item in values):
            raise ConfigError(f"--custom-objects: {spec}: {name!r} must be a class, a function, or a pair: {EXAMPLE}.")
        for item in values:
            is_twin = isinstance(item, type) and issubclass(item, tf_keras.layers.Layer)
            (twins if is_twin else keras3)[name] = item
        if len(values) == 2 and not (name in twins and name in keras3):
            raise ConfigError(
                f"--custom-objects: {spec}: of the pair {name!r} one must be a Keras 3 class (import keras) and one a "
                "tf_keras class (import tf_keras)."
            )
    # By the name in the user's file, and by its own, under which tf_keras writes it down.
    tf_keras.utils.get_custom_objects().update(twins | {twin.__name__: twin for twin in twins.values()})
    return CustomObjects(keras3, twins)
