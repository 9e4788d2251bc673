from dreamkit.guardrail import record as guardrail_record
from dreamkit.guardrail.verdicts import FAILED, SAFE, UNSAFE, CheckVerdict


def test_none_says_that_none_ran():
    record = guardrail_record.unchecked().as_dict()
    assert set(record) == {"asked", "ran", "note"}
    assert record["asked"] == "none"
    assert record["ran"] == []
    assert "No guardrail ran" in record["note"]


def test_a_check_that_could_not_decide_blocks_and_did_not_run():
    verdicts = [CheckVerdict("blocklist", SAFE), CheckVerdict("llama_guard", FAILED, "out of memory")]
    record = guardrail_record.checked("full", verdicts, {"blocklist": {}}, 2).as_dict()
    assert record["blocked"] is True
    assert record["ran"] == ["blocklist"]
    assert record["reason"] == ("Blocked because the check llama_guard of the prompt could not decide: out of memory.")
    assert [verdict["state"] for verdict in record["verdicts"]] == ["safe", "failed"]
    assert record["stride"] == 2


def test_faces_are_told_and_every_reason_is():
    faces = CheckVerdict("faces", SAFE, scores={"faces": 3, "frames_with_faces": 2, "frames": 9})
    assert "Faces pixelated: 3 in 2 of 9 frames." in guardrail_record.checked(["faces"], [faces], {}).note
    stopped = [CheckVerdict("blocklist", UNSAFE, "one"), CheckVerdict("content", UNSAFE, "two"), faces]
    record = guardrail_record.checked("full", stopped, {})
    assert "prompt: one." in record.reason and "video: two." in record.reason
    assert "pixelated" not in record.note
