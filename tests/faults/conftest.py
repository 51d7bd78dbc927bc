"""The lab, as its own tests use it."""

from tests.lab.conftest import lab

__all__ = ["lab"]
