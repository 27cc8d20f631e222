"""Every case of the fault corpus."""

from __future__ import annotations

from fault_cases_averages import EMA
from fault_cases_batch_norm import BATCH_NORM
from fault_cases_elsewhere import ELSEWHERE
from fault_cases_graph import GRAPH
from fault_cases_input import PREPROCESSING
from fault_cases_keras import KERAS
from fault_cases_right import RIGHT
from fault_cases_running import RUNNING
from fault_cases_together import TOGETHER
from fault_cases_weights import WEIGHTS
from faults import Case

CASES: tuple[Case, ...] = (
    *BATCH_NORM,
    *EMA,
    *WEIGHTS,
    *GRAPH,
    *PREPROCESSING,
    *RUNNING,
    *KERAS,
    *ELSEWHERE,
    *TOGETHER,
    *RIGHT,
)
