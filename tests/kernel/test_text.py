"""Text from strangers, made safe to keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.kernel.text import has_unsafe, one_line, with_plain_digits, without_invisible


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ana", "Ana"),
        ("  Ana \n García\t", "Ana García"),
        ("مریم\u200cجان", "مریم\u200cجان"),
        ("\u202eanA", "anA"),
        ("Ana\x00\x07", "Ana"),
        ("\ud800", ""),
        ("สมชาย", "สมชาย"),
    ],
)
def test_a_name_is_kept_on_one_safe_line(written: str, kept: str) -> None:
    assert one_line(written, most=200) == kept


def test_a_name_is_cut_at_its_limit() -> None:
    assert one_line("ab " * 100, most=6) == "ab ab"


def test_digits_of_every_script_become_plain() -> None:
    assert with_plain_digits("๐๙ ۰۹ ٠٩ ０９ ०९ x") == "09 09 09 09 09 x"


def test_marks_of_direction_are_dropped_and_joiners_kept() -> None:
    assert without_invisible("\u200ea\u202eb\ufeff\u2067") == "ab"
    assert without_invisible("می\u200cخواهم") == "می\u200cخواهم"


@given(st.text())
def test_one_line_is_always_safe_and_stable(text: str) -> None:
    line = one_line(text, most=50)
    assert not has_unsafe(line) and len(line) <= 50
    assert one_line(line, most=50) == line
