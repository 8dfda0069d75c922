"""Results that several files of tests look at."""

import pytest

from item_embed.evaluation.ablation.plan import Run
from item_embed.evaluation.ablation.results import AblationResult, AxisResult, axis_result
from tests.evaluation.ablation.found import CONFIG, MADE, NAMED


@pytest.fixture
def axis() -> AxisResult:
    return axis_result(NAMED, MADE, failed={"none 1"})


@pytest.fixture
def found(axis: AxisResult) -> AblationResult:
    return AblationResult((axis,), 5, 8, ((Run("none", "none 1", CONFIG), "training stopped at step 3."),))
