"""How the stream of Nexmark looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lesto.connectors.errors import ConnectorConfigError

PERSON: Final = 0
AUCTION: Final = 1
BID: Final = 2
KINDS: Final = (PERSON, AUCTION, BID)
#: Event time of the first event unless told otherwise, ms: the same for each run, so that runs
#: have the same results: 2015-07-15 00:00 UTC.
BASE_TIME_MS: Final = 1_436_918_400_000
#: Largest proportion of one kind, and largest size in bytes of an event.
PROPORTION_MAX: Final = 1_000_000
SIZE_MAX: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class NexmarkConfig:
    """Events and their rate.

    Attributes:
        events: how many; 0: without end.
        rate: events a second in event time, and when limited in real time, of all subtasks.
        proportions: of people, auctions, bids.
        sizes: average bytes of a person, an auction, a bid, as the public generator counts them.
        hot_auctions: one of so many bids is not for the hot auction.
        hot_bidders: one of so many bids is not by the hot bidder.
        hot_sellers: one of so many auctions is not by the hot seller.
        base_time_ms: event time of the first event.
        seed: of what is random.
        limited: give events when they are due, instead of as fast as they are taken.
        keep_alive: do not end behind the last event.
    """

    events: int = 0
    rate: int = 10_000
    proportions: tuple[int, int, int] = (1, 3, 46)
    sizes: tuple[int, int, int] = (200, 500, 100)
    hot_auctions: int = 2
    hot_bidders: int = 4
    hot_sellers: int = 4
    base_time_ms: int = BASE_TIME_MS
    seed: int = 0
    limited: bool = False
    keep_alive: bool = False

    def __post_init__(self) -> None:
        if min(self.proportions) < 0 or not 0 < sum(self.proportions) <= PROPORTION_MAX:
            msg = f"the proportions {self.proportions} give no events, or are too large"
            raise ConnectorConfigError(
                msg, remedy=f"not negative, together 1 to {PROPORTION_MAX:,}; 1, 3, 46 are usual"
            )
        if self.rate < 1 or self.events < 0:
            msg = f"events ({self.events}) are not negative, a rate ({self.rate}) is positive"
            raise ConnectorConfigError(msg)
        if min(self.sizes) < 0 or max(self.sizes) > SIZE_MAX:
            msg = f"an event has 0 to {SIZE_MAX:,} bytes, not {self.sizes}"
            raise ConnectorConfigError(msg)
        if min(self.hot_auctions, self.hot_bidders, self.hot_sellers) < 1:
            msg = "a hot ratio is at least 1, which means that nothing is hot"
            raise ConnectorConfigError(msg)

    @property
    def total(self) -> int:
        """Events of an epoch."""
        return sum(self.proportions)

    def places(self, kind: int) -> tuple[int, int]:
        """First place in an epoch of a kind of events, and one past the last."""
        low = sum(self.proportions[:kind])
        return low, low + self.proportions[kind]

    def lane_events(self, lane: int, lanes: int) -> int:
        """Events of one of so many readers: it has every ``lanes``-th epoch.

        >>> [NexmarkConfig(events=120).lane_events(i, 2) for i in (0, 1)]
        [70, 50]
        """
        epochs, rest = divmod(self.events, self.total)
        whole = (epochs - lane + lanes - 1) // lanes
        return whole * self.total + (rest if epochs % lanes == lane else 0)
