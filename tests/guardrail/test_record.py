import pytest

from dreamkit.errors import DreamkitError
from dreamkit.guardrail import record as guardrail_record


def test_none_says_that_none_ran():
    record = guardrail_record.record("none").as_dict()
    assert record["asked"] == "none"
    assert record["ran"] == []
    assert "No guardrail ran" in record["note"]


def test_any_other_is_refused():
    with pytest.raises(DreamkitError, match="this version has no guardrail"):
        guardrail_record.record("full")
