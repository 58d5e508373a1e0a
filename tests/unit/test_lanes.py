"""Lanes that need more than `make test` never pass without a word where they cannot run."""

import os
from types import SimpleNamespace

import pytest

from tests.hil.__main__ import main


@pytest.mark.parametrize(("told", "status", "said"), [("", 1, "failed, nothing was tested"), ("1", 0, "SKIPPED")])
def test_tests_on_a_kernel_fail_where_there_can_be_none_unless_asked_to(monkeypatch, capsys, told, status, said):
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    monkeypatch.setenv("HIL_MAY_SKIP", told)
    assert main() == status
    printed = capsys.readouterr().out
    assert said in printed
    assert "needs x86-64, this machine is riscv64" in printed
