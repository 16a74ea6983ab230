"""The stream as a whole: the same bytes for the same arguments, valid forms, rates, order and truth."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
import orjson
import polars as pl
import pytest

from fraudstream.errors import UsageError
from fraudstream.simulate.forms.catalog import FORMS
from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.patterns.catalog import CODES, FITS, parse_shares
from fraudstream.simulate.places import load_places
from fraudstream.simulate.stream import Chunk, generate
from fraudstream.simulate.world import CATEGORIES, CURRENCIES, DEVICES

START_MS = 1_767_225_600_000  # 2026-01-01
DAY_MS = 86_400_000
KEYS = {
    "card-payments": ["transaction_id", "card_hash", "amount", "timestamp", "merchant_category"]
    + [f"V{i}" for i in range(1, 29)],
    "account-transfers": ["source", "target", "amount", "currency"],
    "retail": [
        "user_id", "transaction_id", "timestamp", "first_name", "last_name", "email", "location",
        "transaction_location", "amount", "device",
    ],
    "user-activity": ["user_id", "amount", "location", "timestamp"],
    "terminal-payments": ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"],
}  # fmt: skip
RECORD_KEY = {
    "card-payments": "card_hash",
    "account-transfers": "source",
    "retail": "user_id",
    "user-activity": "user_id",
    "terminal-payments": "CUSTOMER_ID",
}


def small(name: str, **options: object) -> Iterator[Chunk]:
    defaults: dict[str, object] = {"customers": 2_000, "terminals": 400, "events": 6_000, "chunk_events": 2_500}
    return generate(name, start_at_ms=START_MS, **(defaults | options))


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def test_same_seed_and_arguments_give_the_same_bytes_and_another_seed_gives_others(form: Form) -> None:
    once, again, other = ([(c.values, c.keys) for c in small(form.name, seed=s)] for s in (7, 7, 8))
    assert once == again
    assert once != other


def test_every_event_has_exactly_the_forms_fields_in_order_and_no_truth(form: Form) -> None:
    for chunk in small(form.name):
        for value, key in zip(chunk.values, chunk.keys, strict=True):
            event = orjson.loads(value)
            assert list(event) == KEYS[form.name]
            assert str(event[RECORD_KEY[form.name]]).encode() == key


def test_events_come_in_time_order_as_many_as_asked_for(form: Form) -> None:
    chunks = list(small(form.name))
    at_ms = np.concatenate([chunk.event_at_ms for chunk in chunks])
    assert len(at_ms) == 6_000
    assert (np.diff(at_ms) >= 0).all()
    assert at_ms[0] >= START_MS
    assert [c.first_ordinal for c in chunks] == [0, *np.cumsum([len(c) for c in chunks])[:-1]]


def test_ids_are_unique_and_runs_that_follow_each_other_share_none() -> None:
    ids = [i for c in small("retail") for i in c.ids.to_list()]
    later = [i for c in generate("retail", start_at_ms=START_MS + 60_000, customers=200, events=500) for i in c.ids]
    assert len(set(ids + later)) == 6_500


def test_values_have_the_forms_types_and_vocabulary() -> None:
    cities = set(load_places().names)
    card = orjson.loads(next(small("card-payments")).values[0])
    assert re.fullmatch(r"[0-9a-f]{32}", card["card_hash"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", card["timestamp"])
    assert card["merchant_category"] in CATEGORIES
    for event in map(orjson.loads, next(small("retail")).values):
        assert {event["location"], event["transaction_location"]} <= cities
        assert event["device"] in DEVICES
    for event in map(orjson.loads, next(small("account-transfers")).values):
        assert event["source"] != event["target"]
        assert event["currency"] in CURRENCIES
    for event in map(orjson.loads, next(small("terminal-payments")).values):
        assert type(event["TRANSACTION_ID"]) is type(event["CUSTOMER_ID"]) is type(event["TERMINAL_ID"]) is int
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?", event["TX_DATETIME"])
        assert not event["TX_DATETIME"].endswith(".000")


def test_every_amount_is_written_with_at_most_two_decimals(form: Form) -> None:
    for chunk in small(form.name):
        for value in chunk.values:
            assert re.search(rb'mount":\d+\.\d{1,2}[,}]|AMOUNT":\d+\.\d{1,2}[,}]', value), value


def test_a_fifth_of_user_activity_gives_coordinates_instead_of_a_city() -> None:
    kinds = [type(orjson.loads(v)["location"]) for c in small("user-activity") for v in c.values]
    assert 0.17 < kinds.count(dict) / len(kinds) < 0.23
    assert set(kinds) == {dict, str}


def test_ordinary_transfers_are_mostly_below_900() -> None:
    amounts = [orjson.loads(v)["amount"] for c in small("account-transfers", fraud={}) for v in c.values]
    assert 0.99 < np.mean(np.array(amounts) < 900) < 1.0


def test_the_rate_asked_for_is_the_rate_of_event_time() -> None:
    chunks = list(small("retail", rate_per_s=500.0, events=None, duration_ms=10_000, chunk_events=125))
    at_ms = np.concatenate([chunk.event_at_ms for chunk in chunks])
    per_second = np.bincount((at_ms - START_MS) // 1_000, minlength=10)
    assert len(at_ms) == 5_000
    assert per_second.min() > 450
    assert per_second.max() < 550


def test_events_within_a_duration_end_within_it_and_follow_the_day() -> None:
    chunks = list(small("retail", events=20_000, duration_ms=4 * DAY_MS, fraud={}))
    at_ms = np.concatenate([chunk.event_at_ms for chunk in chunks])
    assert len(at_ms) == 20_000
    assert at_ms[-1] < START_MS + 4 * DAY_MS
    by_hour = np.bincount(at_ms // 3_600_000 % 24, minlength=24)
    assert by_hour[16] > 4 * by_hour[4]


@pytest.mark.parametrize(("name", "pattern"), [(n, p) for n, patterns in FITS.items() for p in patterns])
def test_every_pattern_has_the_share_asked_for(name: str, pattern: str) -> None:
    chunks = list(small(name, events=60_000, chunk_events=10_000, fraud={pattern: 0.05}, terminals=3_000))
    fraud = np.concatenate([chunk.is_fraud for chunk in chunks])
    codes = np.concatenate([chunk.pattern for chunk in chunks])
    assert 0.035 < fraud.mean() < 0.065
    assert set(codes[fraud]) == {CODES[pattern]}


def test_without_fraud_there_is_none(form: Form) -> None:
    assert not any(chunk.is_fraud.any() or chunk.pattern.any() for chunk in small(form.name, fraud={}))


def test_switching_on_a_pattern_leaves_the_incidents_of_another_as_they_are() -> None:
    def bursts(fraud: dict[str, float]) -> list[int]:
        return [int(at) for c in small("retail", fraud=fraud) for at in c.event_at_ms[c.pattern == CODES["bursts"]]]

    alone = bursts({"bursts": 0.02})
    assert alone
    # The last chunk is cut by the count of events, which the other pattern shifts.
    both = bursts({"bursts": 0.02, "new_device": 0.02})
    assert both[: len(alone) - 20] == alone[: len(alone) - 20]


def test_what_hides_in_the_components_of_card_fraud_can_be_learned_but_not_perfectly() -> None:
    chunk = next(small("card-payments", events=20_000, chunk_events=30_000, fraud={"bursts": 0.2}))
    columns = chunk.frame.select([f"V{i}" for i in range(1, 29)]).to_numpy()
    mean = columns[chunk.is_fraud].mean(0) - columns[~chunk.is_fraud].mean(0)
    score = columns @ (mean / columns[~chunk.is_fraud].var(0))
    threshold = np.quantile(score[~chunk.is_fraud], 0.99)
    caught = (score[chunk.is_fraud] > threshold).mean()
    assert 0.3 < caught < 0.95


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mule_fan_in=0.1", "does not fit card-payments"),
        ("burst=0.1", "Did you mean bursts"),
        ("bursts=much", "is not a number"),
        ("bursts=0.9", "from 0 to 0.5"),
        ("bursts=0.4,high_amounts=0.4", "add up to 0.8"),
    ],
)
def test_a_share_that_cannot_be_had_is_refused_with_what_can(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse_shares("card-payments", text)


def test_shares_are_read_from_text() -> None:
    assert parse_shares("retail", "none") == {}
    assert parse_shares("retail", None) == FITS["retail"]
    assert parse_shares("retail", "bursts=0.01, new_device") == {"bursts": 0.01, "new_device": 0.002}


def test_wrong_names_and_sizes_are_refused_before_the_first_chunk() -> None:
    for options in ({"customers": 3}, {"fraud": {"nothing": 0.1}}, {"rate_per_s": 0.0}):
        with pytest.raises(UsageError):
            small("retail", **options)
    with pytest.raises(UsageError, match="Did you mean retail"):
        small("retial")


def test_the_cities_are_where_they_are() -> None:
    places = load_places()
    assert len(set(places.names)) == len(places.names) > 200
    by_name = {name: i for i, name in enumerate(places.names)}
    known_km = {("London", "Paris"): 344, ("New York", "Los Angeles"): 3_940, ("Sydney", "Tokyo"): 7_820}
    for (one, other), km in known_km.items():
        assert places.distance_km[by_name[one], by_name[other]] == pytest.approx(km, rel=0.02)
    assert all(d > 0 for d in itertools.islice(np.sort(places.distance_km, axis=1)[:, 1], None))


def test_a_frame_written_as_parquet_holds_what_the_json_says(form: Form) -> None:
    chunk = next(small(form.name))
    flat = pl.read_ndjson(b"\n".join(chunk.values), infer_schema_length=None) if form.name != "user-activity" else None
    for name in chunk.frame.columns if flat is not None else []:
        if name == "TX_DATETIME":
            assert chunk.frame[name].cast(pl.Int64).to_list() == chunk.event_at_ms.tolist()
        else:
            assert chunk.frame[name].to_list() == flat[name].to_list()
    if flat is None:
        first = [orjson.loads(v)["location"] for v in chunk.values]
        cities = chunk.frame["location"].to_list()
        assert [c for c in cities if c] == [f for f in first if isinstance(f, str)]
        coordinates = chunk.frame.filter(pl.col("location").is_null()).select("location_lat", "location_lon")
        assert [tuple(f.values()) for f in first if isinstance(f, dict)] == coordinates.rows()
