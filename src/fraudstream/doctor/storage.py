"""Checks of where decisions are kept: the operational store and the lake."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import text

from fraudstream.doctor.finding import Finding, Subject, error, ok, warning
from fraudstream.doctor.folders import why_not_writable
from fraudstream.notify.failures import failures
from fraudstream.store.engine import SQLITE_NAME, connect
from fraudstream.store.migrate import revision

_CLOCKS_APART_S = 2.0


def store(subject: Subject) -> Iterator[Finding]:
    """It answers, its tables are of this version, and its clock agrees with this one."""
    settings = subject.settings
    file = settings.project_folder / SQLITE_NAME
    if settings.store_url is None and not file.exists():
        yield ok(f"There is none yet; what first needs it makes {file}.")
        return
    opened = connect(settings)
    found = revision(opened)
    if not found.is_current:
        yield error(
            f"The tables of {opened.name} are at revision {found.current or 'none'}, not {found.wanted}.",
            "Run `fraudstream store upgrade`; where that does not help, a newer fraudstream made them.",
        )
        return
    yield ok(f"{opened.name} is at revision {found.wanted}.")
    if opened.is_postgresql:
        with opened.begin(read_only=True) as connection:
            there_s = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        if abs(there_s - time.time()) > _CLOCKS_APART_S:
            yield warning(
                f"The clocks of {opened.name} and of this machine are {abs(there_s - time.time()):.1f} s apart.",
                "Have both set by NTP.",
            )


def notifications(subject: Subject) -> Iterator[Finding]:
    """No notification has failed for good."""
    settings = subject.settings
    if settings.store_url is None and not (settings.project_folder / SQLITE_NAME).exists():
        return
    opened = connect(settings)
    if not revision(opened).is_current:
        return  # the check of the store tells
    failed = failures(opened)
    if failed:
        channels = ", ".join(sorted({each.channel for each in failed}))
        yield warning(
            f"{len(failed)} notifications failed for good, in {channels}; the last said: {failed[-1].last_error}.",
            "See `fraudstream notify failed`; when the cause is gone, `fraudstream notify resend --all`.",
        )
    else:
        yield ok("No notification has failed.")


def lake(subject: Subject) -> Iterator[Finding]:
    """Its folder can be written, or its bucket answers."""
    settings = subject.settings
    uri = settings.lake_url or str(settings.project_folder / "lake")
    if "://" not in uri:
        reason = why_not_writable(uri)
        if reason is not None:
            yield error(f"The lake's folder {uri} cannot be written: {reason}.", "Make it writable, or set lake_url.")
        else:
            yield ok(f"The lake's folder {uri} can be written.")
        return
    try:
        from fraudstream.sinks.lake_table import LakeTable
    except ModuleNotFoundError as missing:
        yield error(
            f"lake_url is {uri}, and {missing.name} is not installed.", "Run `pip install 'fraudstream[lake]'`."
        )
        return
    LakeTable(f"{uri.rstrip('/')}/{subject.plan.pipeline.name if subject.plan else 'any'}/decisions", {}).exists()
    yield ok(f"The lake at {uri} answers.")
