"""Helpers are imported by the tests here; collected by themselves they would hold no test."""

collect_ignore = ["harness.py", "twins.py"]
