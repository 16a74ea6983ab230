"""Token keys: the same value has the same token, nothing shows a secret, and what is sealed opens only in its place."""

from __future__ import annotations

import base64
import hashlib
import hmac
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fraudstream.errors import SettingError, UsageError
from fraudstream.settings import load_settings
from fraudstream.tokens.held import held_keys, use_keys
from fraudstream.tokens.keys import TokenKeys, add_key, make_keys, read_keys
from fraudstream.tokens.source import MADE_HERE, keys_of

CARD = b"4111111111111111"
SECRET = bytes(range(32))
KEYS = TokenKeys("k2", {"k1": b"\1" * 32, "k2": SECRET})


def test_a_token_is_the_keyed_hash_of_the_value() -> None:
    derived = hmac.new(SECRET, b"fraudstream tokens\x01", hashlib.sha256).digest()
    made = base64.b32encode(hmac.new(derived, CARD, hashlib.sha256).digest()[:16]).decode()
    assert KEYS.token(CARD) == "tok_k2_" + made.rstrip("=").lower()


def test_tokens_differ_by_value_and_by_key_and_are_recognised_under_every_key_held() -> None:
    tokens = [KEYS.token(CARD, key_id) for key_id in KEYS.held] + [KEYS.token(b"4111111111111112")]
    assert len(set(tokens)) == 3
    assert all(KEYS.is_token(token) for token in tokens)
    assert not TokenKeys("k2", {"k2": SECRET}).is_token(tokens[1])
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


def test_a_record_is_recognised_by_the_key_it_was_hashed_with() -> None:
    assert KEYS.digest(CARD, "k1") == TokenKeys("k1", {"k1": b"\1" * 32}).digest(CARD) != KEYS.digest(CARD)
    with pytest.raises(SettingError, match="not held"):
        KEYS.digest(CARD, "k9")


def test_keys_show_no_secret() -> None:
    assert repr(KEYS) == "TokenKeys(active='k2', held=['k2', 'k1'])"
    with pytest.raises(TypeError):
        pickle.dumps(KEYS)


def test_another_secret_of_the_same_name_is_another_identity() -> None:
    assert KEYS.identity != TokenKeys("k2", {"k2": b"\2" * 32}).identity
    assert KEYS.identity == TokenKeys("k2", {"k2": SECRET}).identity


def test_a_made_file_is_its_owners_alone_and_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "made" / "keys.toml"
    assert make_keys(path) and not make_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = read_keys(path, "the test")
    new = add_key(path)
    after = read_keys(path, "the test")
    assert after.active == new and after.held == [new, first.active]
    assert after.token(CARD, first.active) == first.token(CARD) != after.token(CARD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fraudstream.tokens.keys import make_keys, read_keys\n"
        "path = Path(sys.argv[1]); make_keys(path); print(read_keys(path, 'here').identity)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "keys.toml")], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in running}) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("active = ", "is not TOML"),
        ('active = "k1"', "names no active key"),
        ('active = "k1"\n[keys]\nk2 = "x"', "names no active key"),
        ('active = "k1"\n[keys]\nk1 = "c2hvcnQ="', "not base64 of 32 bytes"),
        ('active = "k1"\n[keys]\nk1 = 12', "not base64 of 32 bytes"),
        ('active = "K_1"\n[keys]\nK_1 = "x"', "key id 'K_1'"),
    ],
)
def test_a_file_that_is_none_is_refused_without_showing_what_it_holds(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=found) as refused:
        read_keys(path, "the test")
    assert "c2hvcnQ" not in str(refused.value)


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
