"""The key file: made once, read whole or not at all, changed by one process at a time."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fraudstream.errors import SettingError
from fraudstream.tokens.keyfile import add_key, change_keys, check_changeable, make_keys, read_keys
from fraudstream.tokens.secret import Secret

CARD, OTHER = b"4111111111111111", b"378282246310005"


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
        "import sys; from pathlib import Path; from fraudstream.tokens.keyfile import make_keys, read_keys\n"
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


def test_a_file_that_has_forgotten_keeps_all_else_and_takes_another_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    make_keys(path)
    add_key(path)
    before = read_keys(path, "the test")
    text = path.read_text()
    changed = change_keys(path, lambda _, secret: secret.without(CARD))
    after = read_keys(path, "the test")
    assert (after.active, after.held, after.identity) == (before.active, before.held, before.identity)
    for key_id in before.held:
        assert after.token(OTHER, key_id) == before.token(OTHER, key_id)
        assert after.token(CARD, key_id) == changed.token(CARD, key_id) != before.token(CARD, key_id)
    secrets = [line.split('"')[1] for line in text.splitlines() if line.startswith("k")]
    assert len(secrets) == 2 and not any(secret in path.read_text() for secret in secrets)
    new = add_key(path)
    assert read_keys(path, "the test").token(OTHER, before.active) == before.token(OTHER)
    assert read_keys(path, "the test").active == new
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_what_it_points_to_is_changed(tmp_path: Path) -> None:
    """Where secrets are mounted, the file's name is a link."""
    path, link = tmp_path / "real" / "keys.toml", tmp_path / "keys.toml"
    make_keys(path)
    link.symlink_to(path)
    before = read_keys(link, "the test")
    change_keys(link, lambda _, secret: secret.without(CARD))
    assert link.is_symlink() and read_keys(path, "the test").token(CARD) != before.token(CARD)


def test_two_that_forget_at_once_both_do(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fraudstream.tokens.keyfile import change_keys\n"
        "change_keys(Path(sys.argv[1]), lambda _, secret: secret.without(sys.argv[2].encode()))"
    )
    path = tmp_path / "keys.toml"
    make_keys(path)
    before = read_keys(path, "the test")
    values = [str(number).encode() for number in range(4)]
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), value.decode()]) for value in values]
    assert [process.wait() for process in running] == [0] * 4
    after = read_keys(path, "the test")
    assert all(after.token(value) != before.token(value) for value in values)
    assert after.token(CARD) == before.token(CARD)


def test_a_damaged_key_is_refused_and_nobody_is_told_to_make_another(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    make_keys(path)
    change_keys(path, lambda _, secret: secret.without(CARD))
    whole = path.read_text()
    for name in Secret.of(bytes(32)).parts():
        start = whole.index(f'{name} = "') + len(name) + 20  # somewhere in a seed
        flipped = whole[:start] + ("A" if whole[start] != "A" else "B") + whole[start + 1 :]
        for damaged in (flipped, whole.replace(f'{name} = "', f'{name} = "AAAA'), whole.replace(f"{name} =", "more =")):
            path.write_text(damaged)
            with pytest.raises(SettingError, match="is damaged") as refused:
                read_keys(path, "the test")
            assert "put its newest copy back, and erase again" in str(refused.value)
    path.unlink()
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        read_keys(path, "the test")


def test_a_file_that_cannot_be_replaced_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    make_keys(path)
    check_changeable(path)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SettingError, match=r"/proc/keys\.toml cannot be replaced"):
        check_changeable(Path("/proc/keys.toml"))


def test_what_a_killed_process_left_beside_the_file_goes(tmp_path: Path) -> None:
    """It knows what the file is made to forget now."""
    path = tmp_path / "keys.toml"
    make_keys(path)
    code = (
        "import os, signal, sys; from pathlib import Path; from fraudstream.tokens import keyfile\n"
        "keyfile.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "keyfile.change_keys(Path(sys.argv[1]), lambda _, secret: secret.without(b'somebody else'))"
    )
    before = path.read_bytes()
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 2
    change_keys(path, lambda _, secret: secret.without(CARD))
    assert list(tmp_path.iterdir()) == [path]


def test_owner_and_mode_stay_as_they_are(tmp_path: Path) -> None:
    """Where root erases, the scorer's user can read the file afterwards."""
    path = tmp_path / "keys.toml"
    make_keys(path)
    path.chmod(0o640)
    owner = (65_533, 65_533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    for change in (lambda: add_key(path), lambda: change_keys(path, lambda _, secret: secret.without(CARD))):
        change()
        found = path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*owner, 0o640)


def test_a_file_that_is_mounted_by_itself_is_refused(tmp_path: Path) -> None:
    """As containers mount secrets: a rename onto it would fail."""
    path = tmp_path / "keys.toml"
    make_keys(path)
    code = (
        "import sys; from pathlib import Path; from fraudstream.tokens.keyfile import check_changeable\n"
        "check_changeable(Path(sys.argv[1]))"
    )
    mounting = f"mount --bind /proc/version {path} && exec {sys.executable} -c '{code}' {path}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mounting], capture_output=True, text=True, check=False)
    assert "it is mounted by itself" in done.stderr, done.stderr
