"""The user's own layers and functions: ``--custom-objects module:dict``, or the dict itself in Python."""

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
    """Custom objects by name: ``keras3`` to open a model file, tf_keras ``twins`` to rebuild it for training."""

    keras3: Mapping[str, Any]
    twins: Mapping[str, Any]


NONE = CustomObjects({}, {})


def load_custom_objects(spec: str | None) -> CustomObjects:
    """The objects in ``module:dict``, or in a dict passed in Python; their tf_keras twins are registered.

    The dict (or a function that returns it) maps each name to a Keras 3 class or function; to a tf_keras class, for
    Keras 2 files; or to a pair of both, so that models with it can be trained. A twin is created by ``from_config``
    from the ``get_config()`` of the Keras 3 layer and gets its weights in order. Raises ``ConfigError``.
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
    # Registered by the name in the user's file, and by the class name, which tf_keras stores.
    tf_keras.utils.get_custom_objects().update(twins | {twin.__name__: twin for twin in twins.values()})
    return CustomObjects(keras3, twins)


def checked_objects(found: Any, where: str) -> dict[str, list[Any]]:
    """One or two classes or functions by name, checked without TensorFlow. Raises ``ConfigError``."""
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} is a {type(found).__name__}, it must be a dict such as {EXAMPLE}.")
    objects = {name: list(value) if isinstance(value, tuple | list) else [value] for name, value in found.items()}
    for name, values in objects.items():
        if not isinstance(name, str) or not 1 <= len(values) <= 2 or not all(callable(item) for item in values):
            raise ConfigError(f"{where}: {name!r} must be a class, a function, or a pair: {EXAMPLE}.")
    return objects
