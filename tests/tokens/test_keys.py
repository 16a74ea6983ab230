"""Token keys: the same value has the same token, nothing shows a secret, and what is sealed opens only in its place."""

from __future__ import annotations

import base64
import hashlib
import hmac
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.errors import SettingError, UsageError
from fraudstream.settings import load_settings
from fraudstream.tokens.held import held_keys, use_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret
from fraudstream.tokens.source import MADE_HERE, keys_of

CARD = b"4111111111111111"
PLACE = "payments/0/7"
SECRET = bytes(range(32))
FIRST, SECOND = Secret.of(b"\1" * 32), Secret.of(SECRET)
KEYS = TokenKeys("k2", {"k1": FIRST, "k2": SECOND})


def test_a_token_is_the_keyed_hash_of_the_value_with_the_key_at_the_end_of_its_way() -> None:
    def keyed(key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, hashlib.sha256).digest()

    key = keyed(SECRET, b"fraudstream tokens\x01")
    value = keyed(keyed(SECRET, b"fraudstream ways\x01"), CARD)
    for digit in value.hex()[:10]:
        key = hashlib.sha256(key + digit.encode()).digest()
    made = base64.b32encode(hashlib.sha256(key + value).digest()[:16]).decode()
    assert KEYS.token(CARD) == "tok_k2_" + made.rstrip("=").lower()


def test_tokens_differ_by_value_and_by_key_and_are_recognised_under_every_key_held() -> None:
    tokens = [KEYS.token(CARD, key_id) for key_id in KEYS.held] + [KEYS.token(b"4111111111111112")]
    assert len(set(tokens)) == 3
    assert all(KEYS.is_token(token) for token in tokens)
    assert not TokenKeys("k2", {"k2": SECOND}).is_token(tokens[1])
    assert not any(KEYS.is_token(text) for text in ("", "tok_k2_", tokens[0][:-1], tokens[0] + "a", tokens[0].upper()))


def test_a_token_stands_for_itself() -> None:
    token = KEYS.stands_for(CARD.decode())
    assert token == KEYS.token(CARD) and KEYS.stands_for(token) == token


def test_what_is_sealed_opens_only_with_its_key_and_in_its_place() -> None:
    own = KEYS.record_key(PLACE)
    sealed = own.seal("value", CARD)
    assert KEYS.record_key(PLACE, "k2").unseal("value", sealed) == CARD
    assert KEYS.record_key(PLACE).seal("value", CARD) == sealed
    assert CARD not in base64.b64decode(sealed)
    for key_id, place, part in (("k1", PLACE, "value"), ("k2", "payments/0/8", "value"), ("k2", PLACE, "key")):
        with pytest.raises(SettingError, match="not readable"):
            KEYS.record_key(place, key_id).unseal(part, sealed)
    for damaged in ("", "AAAA", "!", sealed[:-8] + "AAAAAAA="):
        with pytest.raises(SettingError, match="not readable"):
            own.unseal("value", damaged)
    with pytest.raises(SettingError, match="not held"):
        KEYS.record_key(PLACE, "k9")
    for none in ("payments", "payments/0/x"):
        with pytest.raises(ValueError, match="invalid"):
            KEYS.record_key(none)


def test_parts_of_a_record_and_its_hash_have_nothing_in_common() -> None:
    """Equal bytes as key and as value, in two places, in another topic, and where offsets begin to share keys."""
    places = (PLACE, "payments/0/8", "payments/1/7", "payments/0/1/7", f"payments/0/{7 + 2**40}")
    sealed = [KEYS.record_key(place).seal(part, CARD) for place in places for part in ("key", "value")]
    assert len({base64.b64decode(each)[:12] for each in sealed}) == len(sealed)
    hashes = {KEYS.record_key(place).hash(CARD) for place in places[:4]}
    assert len(hashes) == 4 and KEYS.digest(CARD) not in hashes


def test_what_a_key_has_forgotten_nobody_makes_or_opens_again() -> None:
    """A value has another token then; of what was sealed, one is closed for good, and the rest opens as before."""
    beside = "payments/0/8"
    closed, open_still = (KEYS.record_key(place).seal("value", CARD) for place in (PLACE, beside))
    forgetting = SECOND.without(CARD, [PLACE])
    keys = TokenKeys("k2", {"k1": FIRST, "k2": Secret.read(forgetting.parts())})
    assert keys.record_key(PLACE).unseal("value", closed) is None
    assert keys.record_key(beside).unseal("value", open_still) == CARD
    again = keys.record_key(PLACE)
    assert again.unseal("value", again.seal("value", CARD)) == CARD
    assert keys.token(CARD) != KEYS.token(CARD) and keys.token(CARD, "k1") == KEYS.token(CARD, "k1")
    assert keys.token(b"another") == KEYS.token(b"another")
    assert keys.is_token(KEYS.token(CARD)) and keys.stands_for(KEYS.token(CARD)) == KEYS.token(CARD)
    assert keys.identity == KEYS.identity and keys.digest(CARD) == KEYS.digest(CARD)


def test_who_guesses_a_forgotten_record_is_not_told() -> None:
    """All that a dead letter says of its record (nonce, sealed bytes, hash) is another under the file as it is now."""
    keys = TokenKeys("k2", {"k2": SECOND.without(b"else", [PLACE])})
    before, now = (each.record_key(PLACE) for each in (KEYS, keys))
    written = [base64.b64decode(each.seal("value", CARD)) for each in (before, now)]
    assert written[0][:12] != written[1][:12] and written[0][12:] != written[1][12:]
    assert before.hash(CARD) != now.hash(CARD)
    assert keys.record_key("payments/0/8").hash(CARD) == KEYS.record_key("payments/0/8").hash(CARD)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.binary(max_size=40), unique=True, min_size=2, max_size=12), st.data())
def test_whoever_is_forgotten_all_others_keep_their_tokens(values: list[bytes], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(values), unique=True))
    secret = SECOND
    for value in gone:
        secret = secret.without(value)
    keys = TokenKeys("k2", {"k2": Secret.read(secret.parts())})
    assert {value for value in values if keys.token(value) != KEYS.token(value)} == set(gone)


def test_keys_show_no_secret() -> None:
    assert repr(KEYS) == "TokenKeys(active='k2', held=['k2', 'k1'])"
    with pytest.raises(TypeError):
        pickle.dumps(KEYS)


def test_another_secret_of_the_same_name_is_another_identity() -> None:
    assert KEYS.identity != TokenKeys("k2", {"k2": Secret.of(b"\2" * 32)}).identity
    assert KEYS.identity == TokenKeys("k2", {"k2": SECOND}).identity


def test_a_key_is_made_where_kafka_is_on_this_machine_and_asked_for_elsewhere(tmp_path: Path) -> None:
    here = load_settings(environ={}, folder=tmp_path)
    assert keys_of(here).identity == keys_of(here).identity
    assert (tmp_path / ".fraudstream" / MADE_HERE).exists()
    (tmp_path / "elsewhere").mkdir()
    elsewhere = load_settings({"bootstrap_servers": "kafka-1:9092"}, environ={}, folder=tmp_path / "elsewhere")
    with pytest.raises(SettingError, match="token_keys_file"):
        keys_of(elsewhere)
    assert not (tmp_path / "elsewhere" / ".fraudstream").exists()
    named = load_settings(
        {"bootstrap_servers": "kafka-1:9092", "token_keys_file": tmp_path / ".fraudstream" / MADE_HERE},
        environ={},
        folder=tmp_path / "elsewhere",
    )
    assert keys_of(named).identity == keys_of(here).identity


def test_a_process_that_was_told_of_no_keys_says_so() -> None:
    use_keys(None)
    with pytest.raises(UsageError, match="sensitive fields"):
        held_keys()
    use_keys(lambda: KEYS)
    assert held_keys() is KEYS
