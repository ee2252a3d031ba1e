"""Which operators support 4-bit weights, read from the quantizer's own policy."""

import functools
import json


@functools.cache
def int4_operators() -> frozenset[str]:
    """The operators with support for 4-bit weights in every mode of the quantizer: static, dynamic and weight-only."""
    from litert_quantizer.default_policy import DEFAULT_JSON_POLICY

    policy = json.loads(DEFAULT_JSON_POLICY)
    modes = [
        set(policy["ops_per_config"][name])
        for name, config in policy["configs"].items()
        if config["weight_tensor_config"]["num_bits"] == 4 and not name.endswith("blockwise")
    ]
    return frozenset(set.intersection(*modes) - {"INPUT", "OUTPUT"})
