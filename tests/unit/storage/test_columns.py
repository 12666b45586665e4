"""Times are stored as aware UTC, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from storage.columns import UtcDateTime

MOMENT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
IN_OSLO = datetime(2026, 3, 10, 13, 0, tzinfo=timezone(timedelta(hours=1)))
DIALECTS = [sqlite.dialect(), postgresql.dialect()]  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_a_moment_comes_back_as_the_same_moment_in_utc(dialect: object) -> None:
    column = UtcDateTime()
    stored = column.process_bind_param(IN_OSLO, dialect)  # type: ignore[arg-type]
    back = column.process_result_value(stored, dialect)  # type: ignore[arg-type]
    assert back == MOMENT
    assert back is not None
    assert back.utcoffset() == timedelta(0)
    assert column.process_bind_param(None, dialect) is None  # type: ignore[arg-type]
    assert column.process_result_value(None, dialect) is None  # type: ignore[arg-type]


def test_sqlite_keeps_utc_without_a_zone() -> None:
    assert UtcDateTime().process_bind_param(IN_OSLO, DIALECTS[0]) == MOMENT.replace(tzinfo=None)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_a_time_without_a_zone_is_refused(dialect: object) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        UtcDateTime().process_bind_param(MOMENT.replace(tzinfo=None), dialect)  # type: ignore[arg-type]
