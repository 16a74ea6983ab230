"""Token keys: the same value has the same token, nothing shows a secret, and what is sealed opens only in its place."""

from __future__ import annotations

import base64
import hashlib
import hmac
import pickle
from pathlib import Path

import pytest

from fraudstream.errors import SettingError, UsageError
from fraudstream.settings import load_settings
from fraudstream.tokens.held import held_keys, use_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret
from fraudstream.tokens.source import MADE_HERE, keys_of

CARD = b"4111111111111111"
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
    sealed = KEYS.seal(CARD, "payments/0/7")
    assert KEYS.unseal(sealed, "k2", "payments/0/7") == CARD
    assert KEYS.seal(CARD, "payments/0/7") == sealed != KEYS.seal(CARD, "payments/0/8")
    assert CARD not in base64.b64decode(sealed)
    for wrong in (("k1", "payments/0/7"), ("k2", "payments/0/8"), ("k9", "payments/0/7")):
        with pytest.raises(SettingError):
            KEYS.unseal(sealed, *wrong)
    for damaged in ("", "AAAA", "!", sealed[:-8] + "AAAAAAA="):
        with pytest.raises(SettingError, match="not readable"):
            KEYS.unseal(damaged, "k2", "payments/0/7")


def test_what_a_key_has_forgotten_nobody_makes_or_opens_again() -> None:
    """A value has another token then; of what was sealed, one is closed for good, and the rest opens as before."""
    closed, open_still = (KEYS.seal(text, "payments/0/7") for text in (CARD, b"another"))
    keys = TokenKeys("k2", {"k1": FIRST, "k2": SECOND.without(CARD, [base64.b64decode(closed)])})
    assert keys.unseal(closed, "k2", "payments/0/7") is None
    assert keys.unseal(open_still, "k2", "payments/0/7") == b"another"
    assert keys.unseal(keys.seal(CARD, "payments/0/7"), "k2", "payments/0/7") == CARD
    assert keys.token(CARD) != KEYS.token(CARD) and keys.token(CARD, "k1") == KEYS.token(CARD, "k1")
    assert keys.token(b"another") == KEYS.token(b"another")
    assert keys.is_token(KEYS.token(CARD)) and keys.stands_for(KEYS.token(CARD)) == KEYS.token(CARD)
    assert keys.identity == KEYS.identity and keys.digest(CARD) == KEYS.digest(CARD)


def test_a_record_is_recognised_by_the_key_it_was_hashed_with() -> None:
    assert KEYS.digest(CARD, "k1") == TokenKeys("k1", {"k1": FIRST}).digest(CARD) != KEYS.digest(CARD)
    with pytest.raises(SettingError, match="not held"):
        KEYS.digest(CARD, "k9")


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
