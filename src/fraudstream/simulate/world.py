"""Who and what takes part: customers with homes, habits, cards and devices; terminals and merchants with places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudstream.errors import UsageError
from fraudstream.simulate.places import Places, load_places
from fraudstream.simulate.rows import ORDINARY, Rows

CATEGORIES = (
    "grocery", "restaurant", "fuel", "travel", "electronics", "clothing",
    "health", "entertainment", "utilities", "online_retail", "gambling", "jewellery",
)  # fmt: skip
DEVICES = ("mobile", "desktop", "tablet", "laptop", "smart-tv", "console")
CURRENCIES = ("EUR", "USD", "GBP")
TRANSACTIONS_PER_CUSTOMER_DAY = 2.0
"""The mean of the Reproducible Machine Learning for Credit Card Fraud Detection handbook's generator."""
FAVOURITES = 25
"""How many terminals, and how many payees, a customer habitually uses."""
DAY_MS = 86_400_000
_TRIP_SHARE = 0.015
_LARGE_SHARE = 0.01
_OTHER_DEVICE_SHARE = 0.02
_OTHER_PAYEE_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class World:
    """The fixed cast of a simulation, a pure function of its seed and sizes.

    Customer columns are [customers], terminal columns [terminals]. The terminals of one city are neighbours:
    city c owns `terminal_first[c]` up to, not including, `terminal_first[c] + terminal_count[c]`.
    """

    places: Places
    home: NDArray[np.int32]
    mean_amount: NDArray[np.float64]
    activity: NDArray[np.float64]  # cumulative share of all transactions
    first_card: NDArray[np.int32]
    card_count: NDArray[np.int32]
    device: NDArray[np.int32]
    second_device: NDArray[np.int32]
    currency: NDArray[np.int32]
    terminal_city: NDArray[np.int32]
    terminal_first: NDArray[np.int32]
    terminal_count: NDArray[np.int32]
    category: NDArray[np.int32]
    seed: int

    @property
    def customers(self) -> int:
        """How many customers there are."""
        return len(self.home)

    @property
    def terminals(self) -> int:
        """How many terminals (or merchants) there are."""
        return len(self.terminal_city)

    def pick_customers(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Customers at random, each as often as she is active."""
        picked: NDArray[np.int32] = np.searchsorted(self.activity, rng.random(count)).astype(np.int32)
        return picked

    def whereabouts(self, customer: NDArray[np.int32], at_ms: NDArray[np.int64]) -> NDArray[np.int32]:
        """The city each customer is in: at home, or for a whole day now and then in a city near it."""
        draw = _mix(customer.astype(np.uint64), (at_ms // DAY_MS).astype(np.uint64), self.seed)
        home = self.home[customer]
        away = (draw >> np.uint64(32)).astype(np.float64) < _TRIP_SHARE * 2**32
        near = self.places.near[home, (draw % np.uint64(self.places.near.shape[1])).astype(np.int64)]
        return np.where(away, near, home).astype(np.int32)

    def pick_terminals(
        self, rng: np.random.Generator, customer: NDArray[np.int32], city: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """One of each customer's favourite terminals in the given city (anywhere, where a city has none)."""
        favourite = rng.integers(0, FAVOURITES, len(customer))
        draw = _mix(customer.astype(np.uint64), favourite.astype(np.uint64), self.seed + 1) >> np.uint64(8)
        count = self.terminal_count[city]
        local = self.terminal_first[city] + (draw % np.maximum(count, 1).astype(np.uint64)).astype(np.int64)
        anywhere = (draw % np.uint64(self.terminals)).astype(np.int64)
        return np.where(count > 0, local, anywhere).astype(np.int32)

    def pick_payees(self, rng: np.random.Generator, customer: NDArray[np.int32]) -> NDArray[np.int32]:
        """Whom each customer pays: mostly one of her few usual payees, never herself."""
        favourite = rng.integers(0, FAVOURITES, len(customer))
        draw = _mix(customer.astype(np.uint64), favourite.astype(np.uint64), self.seed + 2) >> np.uint64(8)
        stranger = rng.random(len(customer)) < _OTHER_PAYEE_SHARE
        step = np.where(stranger, rng.integers(0, 2**40, len(customer)), draw.astype(np.int64))
        payee: NDArray[np.int64] = (customer + 1 + step % (self.customers - 1)) % self.customers
        return payee.astype(np.int32)

    def ordinary(self, rng: np.random.Generator, at_ms: NDArray[np.int64], customer: NDArray[np.int32]) -> Rows:
        """What these customers do at these instants by habit. Fraud patterns start here and change what they change."""
        count = len(at_ms)
        city = self.whereabouts(customer, at_ms)
        mean = self.mean_amount[customer]
        amount = np.abs(rng.normal(mean, mean / 2))
        large = rng.random(count) < _LARGE_SHARE
        amount[large] *= rng.uniform(2.0, 15.0, int(large.sum()))
        usual = np.where(rng.random(count) < 0.75, self.device[customer], self.second_device[customer])
        other = rng.random(count) < _OTHER_DEVICE_SHARE
        return Rows(
            at_ms=at_ms,
            customer=customer,
            card=self.first_card[customer] + rng.integers(0, self.card_count[customer]).astype(np.int32),
            amount_minor=np.maximum(np.rint(amount * 100), 50).astype(np.int64),
            city=city,
            terminal=self.pick_terminals(rng, customer, city),
            device=np.where(other, rng.integers(0, len(DEVICES), count), usual).astype(np.int32),
            payee=self.pick_payees(rng, customer),
            is_fraud=np.zeros(count, bool),
            pattern=np.full(count, ORDINARY, np.int32),
            episode=np.full(count, -1, np.int64),
        )


def build_world(seed: int, customers: int, terminals: int) -> World:
    """The cast of a simulation.

    Raises:
        UsageError: Fewer customers or terminals than the patterns need.
    """
    if customers < 100 or terminals < 10:
        raise UsageError(
            f"A world of {customers} customers and {terminals} terminals is too small.",
            "Use at least 100 customers and 10 terminals.",
        )
    rng = np.random.default_rng([seed, 0])
    places = load_places()
    home_cities = min(len(places.names), max(1, customers // 50), max(1, terminals // 10))
    share = np.sqrt(places.population[:home_cities])
    share /= share.sum()
    terminal_city = np.sort(rng.choice(home_cities, terminals, p=share)).astype(np.int32)
    counts = np.bincount(terminal_city, minlength=len(places.names))
    activity = rng.gamma(2.0, 1.0, customers)
    cumulative = np.cumsum(activity) / activity.sum()
    cumulative[-1] = 1.0
    card_count = rng.choice(np.array([1, 2, 3], np.int32), customers, p=[0.7, 0.22, 0.08])
    return World(
        places=places,
        home=rng.choice(home_cities, customers, p=share).astype(np.int32),
        mean_amount=rng.uniform(5.0, 100.0, customers),
        activity=cumulative,
        first_card=(np.cumsum(card_count) - card_count).astype(np.int32),
        card_count=card_count,
        device=rng.choice(3, customers, p=[0.6, 0.3, 0.1]).astype(np.int32),
        second_device=rng.choice(4, customers, p=[0.4, 0.25, 0.15, 0.2]).astype(np.int32),
        currency=rng.choice(len(CURRENCIES), customers, p=[0.8, 0.12, 0.08]).astype(np.int32),
        terminal_city=terminal_city,
        terminal_first=(np.cumsum(counts) - counts).astype(np.int32),
        terminal_count=counts.astype(np.int32),
        category=rng.choice(len(CATEGORIES), terminals).astype(np.int32),
        seed=seed,
    )


def _mix(left: NDArray[np.uint64], right: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A well-scattered hash of two numbers (the finaliser of SplitMix64): habits that need no memory."""
    value = left * np.uint64(0x9E3779B97F4A7C15) + right * np.uint64(0xD1B54A32D192ED03)
    value += np.uint64((seed * 0x2545F4914F6CDD1D) % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed
