"""Every case of the fault corpus."""

from __future__ import annotations

from faults.cases.averages import EMA
from faults.cases.batch_norm import BATCH_NORM
from faults.cases.elsewhere import ELSEWHERE
from faults.cases.graph import GRAPH
from faults.cases.hidden import HIDDEN
from faults.cases.input import PREPROCESSING
from faults.cases.keras import KERAS
from faults.cases.relations import RELATIONS
from faults.cases.right import RIGHT
from faults.cases.running import RUNNING
from faults.cases.together import TOGETHER
from faults.cases.weights import WEIGHTS
from faults.corpus import Case

CASES: tuple[Case, ...] = (
    *BATCH_NORM,
    *EMA,
    *WEIGHTS,
    *RELATIONS,
    *GRAPH,
    *PREPROCESSING,
    *RUNNING,
    *KERAS,
    *ELSEWHERE,
    *TOGETHER,
    *RIGHT,
    *HIDDEN,
)
