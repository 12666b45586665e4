"""Reports in parts: when they are whole."""

from __future__ import annotations

import pytest

from csms.stations.parts import is_whole


@pytest.mark.parametrize(
    ("numbers", "last", "whole"),
    [
        ([], None, False),
        ([0], None, False),
        ([0], 0, True),
        ([1], 1, False),
        ([1, 0], 1, True),
        ([0, 2], 2, False),
        ([2, 0, 1, 7], 2, True),
        ([-1], -1, False),
        ([2**31 - 1], 2**31 - 1, False),
    ],
)
def test_a_report_is_whole_when_no_part_is_missing(numbers: list[int], last: int | None, whole: bool) -> None:
    assert is_whole(numbers, last) is whole
