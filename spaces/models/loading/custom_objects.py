"""The user's own layers and functions: ``--custom-objects module:dict``, in Python also the dict itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs.python_functions import shown_name
from litetuner.spaces.tf import load
from litetuner.spaces.user_function import error_text, load_attribute

EXAMPLE = "{'MyLayer': MyLayer} or, to train it too, {'MyLayer': (MyLayer, MyTfKerasLayer)}"


@dataclasses.dataclass(frozen=True)
class CustomObjects:
    """What a model file names: ``keras3`` classes and functions to open it, ``twins`` of tf_keras to rebuild it for training."""

    keras3: Mapping[str, Any]
    twins: Mapping[str, Any]


NONE = CustomObjects({}, {})


def load_custom_objects(spec: str | None) -> CustomObjects:
    """The objects of ``module:dict``, or of a dict that was given in Python; registers their tf_keras twins.

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
            raise ConfigError(f"--custom-objects: {spec} failed: {error_text(error)}") from error
    where = f"--custom-objects: {shown_name(spec)}"
    keras3: dict[str, Any] = {}
    twins: dict[str, Any] = {}
    for name, values in checked_objects(found, where).items():
        for item in values:
            is_twin = isinstance(item, type) and issubclass(item, tf_keras.layers.Layer)
            (twins if is_twin else keras3)[name] = item
        if len(values) == 2 and not (name in twins and name in keras3):
            raise ConfigError(
                f"{where}: of the pair {name!r} one must be a Keras 3 class (import keras) and one a "
                "tf_keras class (import tf_keras)."
            )
    # By the name in the user's file, and by its own, under which tf_keras writes it down.
    tf_keras.utils.get_custom_objects().update(twins | {twin.__name__: twin for twin in twins.values()})
    return CustomObjects(keras3, twins)


def checked_objects(found: Any, where: str) -> dict[str, list[Any]]:
    """One or two classes or functions by name, as far as that is known without TensorFlow. Raises ``ConfigError``."""
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} is a {type(found).__name__}, it must be a dict such as {EXAMPLE}.")
    objects = {name: list(value) if isinstance(value, tuple | list) else [value] for name, value in found.items()}
    for name, values in objects.items():
        if not isinstance(name, str) or not 1 <= len(values) <= 2 or not all(callable(item) for item in values):
            raise ConfigError(f"{where}: {name!r} must be a class, a function, or a pair: {EXAMPLE}.")
    return objects
