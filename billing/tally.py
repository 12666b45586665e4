"""The tally: adds up what a statement states, session by session. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from billing.cost import VatLine, vat_on_top
from billing.money import apportion
from billing.statement import EntryKind, Fees, Item, WaySums
from billing.terms import Terms
from billing.way import Way

Rate = Decimal | None


@dataclass(frozen=True, slots=True)
class Charged:
    """What earlier statements said of a session: its gross amount and the fee, without VAT."""

    gross_minor: int
    fee_minor: int


@dataclass(slots=True)
class SessionTally:
    """One session in one statement."""

    way: Way
    own_processor: bool
    gross_minor: int = 0
    refunded_minor: int = 0
    fee_minor: int = 0


@dataclass(slots=True)
class _Sums:
    gross: dict[Rate, int] = field(default_factory=lambda: defaultdict(int))
    vat: dict[Rate, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, lines: Sequence[VatLine]) -> None:
        for line in lines:
            self.gross[line.vat_percent] += line.gross_minor
            self.vat[line.vat_percent] += line.vat_minor

    def lines(self) -> tuple[VatLine, ...]:
        """Per rate, the highest first; what cancelled out to nothing is left out."""
        rates = sorted(self.gross, key=lambda rate: (rate is None, -(rate or 0)))
        sums = [(rate, self.gross[rate], self.vat[rate]) for rate in rates if self.gross[rate] or self.vat[rate]]
        return tuple(VatLine(rate, gross - vat, vat, gross) for rate, gross, vat in sums)


def split(gross_minor: int, vat_minor: int, lines: Sequence[VatLine]) -> list[VatLine]:
    """A booked amount and its VAT over the rates of ``lines``, the session's own; the sums are as booked.

    Where the lines are what was booked, it is them. Where the session was priced anew since, they are in proportion.
    """
    grosses, vats = [line.gross_minor for line in lines], [line.vat_minor for line in lines]
    if not lines:
        return [VatLine(None, gross_minor - vat_minor, vat_minor, gross_minor)]
    if (sum(grosses), sum(vats)) != (abs(gross_minor), abs(vat_minor)):
        rates = zip(lines, apportion(gross_minor, grosses), apportion(vat_minor, vats), strict=True)
    else:
        sign = -1 if gross_minor < 0 else 1
        rates = zip(lines, [sign * gross for gross in grosses], [sign * vat for vat in vats], strict=True)
    return [VatLine(line.vat_percent, gross - vat, vat, gross) for line, gross, vat in rates]


class Tally:
    """What one statement adds up. Amounts are incl. VAT, minor units; refunds are told as positive amounts."""

    def __init__(self) -> None:
        self.sessions: dict[str, SessionTally] = {}
        self.items: list[Item] = []
        self._sales: dict[Way, _Sums] = defaultdict(_Sums)
        self._refunds: dict[Way, _Sums] = defaultdict(_Sums)
        self._refunded: dict[Way, int] = defaultdict(int)  # how many

    def sale(self, session_id: str, way: Way, gross_minor: int, lines: Sequence[VatLine]) -> None:
        """A sale; negative: one taken back."""
        self._session(session_id, way).gross_minor += gross_minor
        self._sales[way].add(lines)

    def refund(self, session_id: str, way: Way, gross_minor: int, lines: Sequence[VatLine]) -> None:
        """A refund."""
        self._session(session_id, way).refunded_minor += gross_minor
        self._refunds[way].add(lines)
        self._refunded[way] += 1

    def facilitated(self, session_id: str, way: Way, gross_minor: int) -> None:
        """What the owner's own processor collected."""
        self._session(session_id, way, own_processor=True).gross_minor += gross_minor

    def _session(self, session_id: str, way: Way, *, own_processor: bool = False) -> SessionTally:
        return self.sessions.setdefault(session_id, SessionTally(way, own_processor))

    def ways(self, earlier: Mapping[str, Charged]) -> tuple[WaySums, ...]:
        """All ways of paying. A session counts in the statement that first states its sale."""
        counted: dict[Way, int] = defaultdict(int)
        for session_id, session in self.sessions.items():
            known = earlier.get(session_id)
            if not session.own_processor and session.gross_minor > 0 and (known is None or not known.gross_minor):
                counted[session.way] += 1
        sums = []
        for way in Way:
            sold, back = self._sales[way].lines(), self._refunds[way].lines()
            sums.append(
                WaySums(
                    way=way,
                    sessions=counted[way],
                    gross_minor=sum(line.gross_minor for line in sold),
                    refunds=self._refunded[way],
                    refunded_minor=sum(line.gross_minor for line in back),
                    vat=sold,
                    refund_vat=back,
                )
            )
        return tuple(sums)

    def fees(self, terms: Terms, currency: str, earlier: Mapping[str, Charged]) -> Fees:
        """What the platform takes: of each session what its whole gross costs, less what was taken before.

        A refund gives no fee back: the session was carried out.
        """
        paid = facilitated = facilitation = fixed = percent = 0
        for session_id, session in self.sessions.items():
            before = earlier.get(session_id, Charged(0, 0))
            if session.own_processor:
                session.fee_minor = terms.facilitation_fee_minor if session.gross_minor else 0
                facilitated += bool(session.gross_minor)
                facilitation += session.fee_minor
                continue
            gross_minor = max(before.gross_minor + session.gross_minor, 0)
            session.fee_minor = terms.fee_minor(gross_minor, currency) - before.fee_minor
            once = bool(gross_minor) - bool(before.gross_minor)  # 1: paid now, 0: as before, -1: not paid after all
            paid += once
            fixed += once * terms.fee_fixed_minor
            percent += session.fee_minor - once * terms.fee_fixed_minor
        return Fees(
            sessions=paid,
            fixed_minor=fixed,
            percent_minor=percent,
            facilitated_sessions=facilitated,
            facilitation_minor=facilitation,
            vat_percent=terms.fee_vat_percent,
            vat_minor=vat_on_top(fixed + percent + facilitation, terms.fee_vat_percent).vat_minor,
        )

    @property
    def facilitated_minor(self) -> int:
        """What own processors collected."""
        return sum(session.gross_minor for session in self.sessions.values() if session.own_processor)

    def items_of(self, kind: EntryKind) -> list[Item]:
        """The items of one kind."""
        return [item for item in self.items if item.kind is kind]
