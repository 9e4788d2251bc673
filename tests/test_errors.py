import pickle

from dreamkit.errors import DreamkitError, first_line


def test_message_and_hint_survive_a_process_boundary():
    error = pickle.loads(pickle.dumps(DreamkitError("caption is empty: a.txt", "Write one sentence.")))
    assert (error.message, error.hint) == ("caption is empty: a.txt", "Write one sentence.")
    assert str(error) == "caption is empty: a.txt\n  -> Write one sentence."


def test_a_notebook_shows_the_message_without_a_stack():
    shown = DreamkitError("a.txt is empty.", "Write.")._render_traceback_()
    assert "\n".join(shown) == "DreamkitError: a.txt is empty.\n  -> Write."


def test_an_error_is_made_again_from_what_a_kernel_reports():
    for error in (DreamkitError("One.\n  -> Two.", "Three.\n  -> Four."), DreamkitError("Alone.")):
        made = DreamkitError.from_traceback(error._render_traceback_())
        assert made is not None
        assert (made.message, made.hint) == (error.message, error.hint)
    assert DreamkitError.from_traceback(["-----", "ValueError: no"]) is None
    assert DreamkitError.from_traceback([]) is None


def test_the_first_line_of_an_error_is_its_message_or_its_class():
    assert first_line(ValueError("no such key.\nSecond line.")) == "no such key"
    assert first_line(KeyError()) == "KeyError"
