"""Outputs stay safe whatever happens: the model, in this process and with processes that are killed."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from ..campaign import budget
from .outputs_in_process import InProcess
from .outputs_model import OutputsModel
from .outputs_processes import Processes


class InProcessModel(OutputsModel):
    make_world = InProcess


def test_whatever_happens_no_output_is_on_that_may_not_be():
    run_state_machine_as_test(InProcessModel, settings=settings(max_examples=budget(12, 125), stateful_step_count=20))


class ProcessesModel(OutputsModel):
    make_world = Processes


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_whatever_happens_to_processes_no_output_is_on_that_may_not_be():
    run_state_machine_as_test(ProcessesModel, settings=settings(max_examples=budget(2, 20), stateful_step_count=10))
