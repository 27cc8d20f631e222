"""What the name of a checkpoint's tensor says: variable, moving average, optimiser slot, BN statistic."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..graph.read.restore import SHADOW

_SLOT = re.compile(
    r"(Adam|AdamW|Adamax|AdaMax|AdaGrad|Adagrad|Adadelta|AdagradDA|Momentum|RMSProp|Ftrl|FtrlProximal"
    r"|LAMB|LARS|GradientDescent|Nadam|NadamW|SGD|accum|accumulator|slow|ProximalAdagrad)(_\d+)?$",
    re.IGNORECASE,
)
_BOOKKEEPING = re.compile(
    r"(^|/)(global_step|beta[12]_power(_\d+)?|save_counter|learning_rate|_CHECKPOINTABLE_OBJECT_GRAPH|local_step)$"
)
_OBJECT_SLOT = "/.OPTIMIZER_SLOT/"
_STATISTIC = re.compile(r"(^|/)(moving_mean|moving_variance|moving_var|running_mean|running_var)(_\d+)?$")


def shadow_of(name: str, tensors: Collection[str]) -> str | None:
    """The moving average of variable ``name`` in the checkpoint, or None.

    An average made inside a variable scope carries the scope twice (``net/net/w/ExponentialMovingAverage``).
    """
    if name + SHADOW in tensors:
        return name + SHADOW
    parts = name.split("/")
    doubled = ("/".join([*parts[:depth], name]) + SHADOW for depth in range(1, len(parts)))
    return next((key for key in doubled if key in tensors), None)


def averaged_by(name: str, tensors: Collection[str]) -> str | None:
    """The variable whose moving average ``name`` is, or None.

    The average of something that is no variable of the checkpoint (the moments of a hand-written
    batch norm) is a weight in its own right.
    """
    if not name.endswith(SHADOW):
        return None
    base = name[: -len(SHADOW)]
    while base and base not in tensors:
        base = base.partition("/")[2]
    return base if base and shadow_of(base, tensors) == name else None


def slot_of(name: str, tensors: Collection[str]) -> str | None:
    """The variable that ``name`` is an optimiser slot of, or None."""
    if _OBJECT_SLOT in name:
        return name.partition(_OBJECT_SLOT)[0] + "/.ATTRIBUTES/VARIABLE_VALUE"
    base, _, last = name.rpartition("/")
    if not _SLOT.match(last):
        return None
    while base and base not in tensors:  # v2 optimisers: training/Adam/w/m; scopes may be doubled
        base = base.partition("/")[2]
    return base or None


def is_model_variable(name: str, tensors: Collection[str]) -> bool:
    """Whether ``name`` is part of the model: no average, no slot, no step counter."""
    return (
        not _BOOKKEEPING.search(name)
        and averaged_by(name, tensors) is None
        and slot_of(name, tensors) is None
        and not re.match(r"(training|training_\d+)/|Variable/.*optimizer|optimizer/", name)
    )


def is_statistic(name: str) -> bool:
    """Whether ``name`` is that of a batch norm's moving mean or variance."""
    return _STATISTIC.search(name) is not None


def plain_name(key: str) -> str:
    """``net/w/.ATTRIBUTES/VARIABLE_VALUE`` as ``net/w``; other names as they are."""
    return key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
