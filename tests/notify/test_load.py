"""`notify.yaml`: what it declares, and everything that is wrong with it at once."""

from __future__ import annotations

import sys
from datetime import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from fraudstream.define.decision import Action, Outcome, RiskLevel, Rule
from fraudstream.define.pipeline import Pipeline
from fraudstream.errors import DefinitionError
from fraudstream.notify.channels.apprise import AppriseChannel
from fraudstream.notify.channels.webhook import Webhook
from fraudstream.notify.declaration import (
    Channel,
    Condition,
    Grouping,
    Limit,
    QuietHours,
    Repeats,
    Retry,
    Template,
    Trait,
    Weekday,
)  # fmt: skip
from fraudstream.notify.load import load_notifications
from runner.small import pipeline

SECRET = "a-secret-of-24-bytes-or-more"
WHOLE = """
channels:
  desk:
    url: ${DESK_URL}
    when:
      - {pipelines: [retail, cards], risk_level: HIGH, outcome: block, amount_from: 99.50, rules: MULE_FAN_IN}
      - {risk_level: CRITICAL}
    group: {over: 30s, by: [pipeline, key]}
    limit: {most: 10, per: 1m}
    quiet: {from: "22:00", to: "06:30", zone: Europe/Zurich, days: [mon, tue], unless: CRITICAL}
    repeats: {after: 1h, by: [key, reasons]}
    retry: {attempts: 5, first: 1s, longest: 1m}
    template: {title: "{key} {{!}}", line: "{amount}", most_lines: 3}
    timeout: 3s
  cases:
    kind: webhook
    url_file: url.txt
    secret_file: secret.txt
    allow_private: true
"""


def load(folder: Path, text: str, **environ: str) -> dict[str, Channel]:
    (folder / "notify.yaml").write_text(text)
    return load_notifications(folder / "notify.yaml", environ).channels


def test_all_of_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "url.txt").write_text("http://10.0.0.1:8080/hook\n")
    (tmp_path / "secret.txt").write_text(f"{SECRET}\n")
    channels = load(tmp_path, WHOLE, DESK_URL="json://localhost/token")
    desk, cases = channels.values()
    assert isinstance(desk.sender, AppriseChannel)
    assert isinstance(cases.sender, Webhook)
    assert desk == Channel(
        name="desk",
        sender=desk.sender,
        when=(
            Condition(
                pipelines=("retail", "cards"),
                risk_level=RiskLevel.HIGH,
                outcome=Outcome.BLOCK,
                amount_from=Decimal("99.50"),
                rules=("MULE_FAN_IN",),
            ),
            Condition(risk_level=RiskLevel.CRITICAL),
        ),
        group=Grouping(over_ms=30_000, by=(Trait.PIPELINE, Trait.KEY)),
        limit=Limit(most=10, per_ms=60_000),
        quiet=QuietHours(
            begin=time(22), end=time(6, 30), zone="Europe/Zurich",
            days=(Weekday.MON, Weekday.TUE), unless=RiskLevel.CRITICAL,
        ),
        repeats=Repeats(after_ms=3_600_000, by=(Trait.KEY, Trait.REASONS)),
        retry=Retry(attempts=5, first_ms=1_000, longest_ms=60_000),
        template=Template(title="{key} {{!}}", line="{amount}", most_lines=3),
        timeout_ms=3_000,
    )  # fmt: skip
    assert cases == Channel(name="cases", sender=cases.sender)


WRONG = {
    "[]": ("", "a list where a mapping belongs"),
    "{}": ("channels", "is missing. Declare at least one"),
    "channels: {}": ("channels", "declares nothing. Declare at least one"),
    "chanels: {a: {url: '${U}'}}": ("chanels", "unknown key 'chanels'. Did you mean 'channels'?"),
    "channels: {Desk!: {url: '${U}'}}": ("channels.Desk!", "is not a name"),
    "channels: {a: {kind: webhok, url: '${U}'}}": ("channels.a.kind", "no kind 'webhok'. Did you mean"),
    "channels: {a: {}}": ("channels.a.url", "is missing"),
    "channels: {a: {url: '${GONE}'}}": ("channels.a.url", "the environment variable GONE is not set"),
    "channels: {a: {url_file: gone.txt}}": ("channels.a.url_file", "cannot be read"),
    "channels: {a: {url: '${U}', url_file: x}}": ("channels.a.url", "keep one"),
    "channels: {a: {url: '${U}', wen: []}}": ("channels.a.wen", "unknown key 'wen'. Did you mean 'when'?"),
    "channels: {a: {url: '${U}', when: {risk_level: HIHG}}}": ("channels.a.when.0.risk_level", "Did you mean 'HIGH'?"),
    "channels: {a: {url: '${U}', when: {amount_from: -1}}}": ("channels.a.when.0.amount_from", "an amount belongs"),
    "channels: {a: {url: '${U}', group: {over: 5 min}}}": ("channels.a.group.over", "is not a duration"),
    "channels: {a: {url: '${U}', group: {by: [kye]}}}": ("channels.a.group.by.0", "Did you mean 'key'?"),
    "channels: {a: {url: '${U}', limit: {most: 0, per: 1m}}}": ("channels.a.limit.most", "0 is too little"),
    "channels: {a: {url: '${U}', limit: {most: 1}}}": ("channels.a.limit.per", "is missing"),
    "channels: {a: {url: '${U}', quiet: {from: '24:00', to: '6:00'}}}": ("channels.a.quiet.from", "not a time of day"),
    "channels: {a: {url: '${U}', quiet: {from: '22:00', to: '22:00'}}}": ("channels.a.quiet.to", "the same as"),
    "channels: {a: {url: '${U}', quiet: {from: '22:00', to: '06:00', zone: Mars/X}}}":
        ("channels.a.quiet.zone", "no time zone"),
    "channels: {a: {url: '${U}', repeats: {by: key}}}": ("channels.a.repeats.after", "is missing"),
    "channels: {a: {url: '${U}', template: {title: '{kee}'}}}": ("channels.a.template.title", "Did you mean 'key'?"),
    "channels: {a: {url: '${U}', template: {title: '{key.x}'}}}": ("channels.a.template.title", "no field 'key.x'"),
    "channels: {a: {url: '${U}', template: {line: '{key!r}'}}}": ("channels.a.template.line", "a format of its own"),
    "channels: {a: {url: '${U}', template: {line: '{'}}}": ("channels.a.template.line", "no partner"),
    "channels: {a: {kind: webhook, url: '${W}'}}": ("channels.a.secret", "is missing"),
    "channels: {a: {kind: webhook, url: '${W}', secret: '${W2}'}}": ("channels.a.secret", "has 5 bytes"),
    "channels: {a: {kind: webhook, url: '${H}', secret: '${S}'}}": ("channels.a.url", "is not encrypted"),
    "channels: {a: {kind: webhook, url: '${P}', secret: '${S}'}}": ("channels.a.url", "has a user or password"),
    "channels: {a: {kind: webhook, url: '${W}', secret: '${S}', ca_file: gone}}": ("channels.a.ca_file", "cannot"),
    "channels: {a: {kind: webhook, url: '${W}', secret: '${B}'}}": ("channels.a.secret", "no base64"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=[path for path, _ in WRONG.values()])
def test_a_problem_is_said_with_its_path(tmp_path: Path, text: str, expected: tuple[str, str]) -> None:
    path, found = expected
    environ = {
        "U": "json://localhost", "W": "https://example.org/", "W2": "short", "S": SECRET, "B": "whsec_%",
        "H": "http://example.org/", "P": "https://me:pass@example.org/",
    }  # fmt: skip
    with pytest.raises(DefinitionError) as error:
        load(tmp_path, text, **environ)
    assert [p for p in error.value.problems if p.path == path and found.lower() in str(p).lower()], str(error.value)
    assert SECRET not in str(error.value)


def test_all_problems_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = "channels:\n  a:\n    url: ${GONE}\n    limit: {most: x, per: y}\n  b:\n    kind: nothing\n"
    with pytest.raises(DefinitionError) as error:
        load(tmp_path, text)
    assert [p.path for p in error.value.problems] == [
        "channels.a.url", "channels.a.limit.most", "channels.a.limit.per", "channels.b.kind",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["url", "secret"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    given = {"url": "${W}", "secret": "${S}", key: "https://hooks.example.org/t0ken"}
    text = f"channels: {{a: {{kind: webhook, url: '{given['url']}', secret: '{given['secret']}'}}}}"
    with pytest.raises(DefinitionError, match="may be a secret") as error:
        load(tmp_path, text, W="https://example.org/", S=SECRET)
    assert "t0ken" not in str(error.value)


def two_pipelines() -> tuple[Pipeline, Pipeline]:
    """`small`, and `other` with a rule X alone."""
    found = pipeline()
    only = (Rule(code="X", when="amount > 1", action=Action.BLOCK),)
    return found, msgspec.structs.replace(found, name="other", rules=only)


def test_a_rule_or_pipeline_that_is_not_there_would_be_silence_and_is_said(tmp_path: Path) -> None:
    found, other = two_pipelines()
    text = "channels:\n  a:\n    url: ${U}\n    when:\n      - {rules: [HIGH, HIHG, X]}\n      - pipelines: smal\n"
    (tmp_path / "notify.yaml").write_text(text)
    declared = load_notifications(tmp_path / "notify.yaml", {"U": "json://localhost"})
    with pytest.raises(DefinitionError) as error:
        declared.check_against([found, other])
    assert [str(problem) for problem in error.value.problems] == [
        "line 5, channels.a.when.0.rules: there is no rule 'HIHG'. Did you mean 'HIGH'?",
        "line 6, channels.a.when.1.pipelines: there is no pipeline 'smal'. Did you mean 'small'?",
    ]


def test_notifiers_of_several_pipelines_may_share_a_file(tmp_path: Path) -> None:
    """What a condition says of a pipeline that is told of elsewhere is looked up there, and there alone."""
    found, other = two_pipelines()
    text = "channels: {a: {url: '${U}', when: [{rules: HIGH}, {pipelines: other, rules: X}]}}"
    (tmp_path / "notify.yaml").write_text(text)
    declared = load_notifications(tmp_path / "notify.yaml", {"U": "json://localhost"})
    declared.check_against([found], {"other": other}.get)
    (tmp_path / "notify.yaml").write_text(text.replace("rules: X", "rules: HIGH"))
    wrong = load_notifications(tmp_path / "notify.yaml", {"U": "json://localhost"})
    with pytest.raises(DefinitionError, match=r"when\.1\.rules: there is no rule 'HIGH'"):
        wrong.check_against([found], {"other": other}.get)
    with pytest.raises(DefinitionError, match=r"when\.1\.pipelines: there is no pipeline 'other'"):
        declared.check_against([found])


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """A package of somebody else's that offers the kind `pigeon`."""
    (folder / "pigeon.py").write_text(module)
    (folder / "pigeon-1.dist-info").mkdir()
    (folder / "pigeon-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon\nVersion: 1\n")
    (folder / "pigeon-1.dist-info" / "entry_points.txt").write_text(
        "[fraudstream.channels]\npigeon = pigeon:Pigeon [birds]\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "pigeon", raising=False)


PIGEON = """
class Pigeon:
    keys = ("loft",)
    def __init__(self, loft): self.loft = loft
    @classmethod
    def declared(cls, part):
        if part.text("loft") is None: return part.missing("loft", "Name one.")
        return cls(part.text("loft"))
    def send(self, message, timeout_s): pass
"""


def test_a_kind_of_another_package_is_found_and_reports_as_ours_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, PIGEON)
    channels = load(tmp_path, "channels: {a: {kind: pigeon, loft: '${L:-roof}', timeout: 3s}}")
    assert channels["a"].sender.loft == "roof"  # type: ignore[attr-defined]
    with pytest.raises(DefinitionError, match=r"channels\.a\.loft: is missing\. Name one\."):
        load(tmp_path, "channels: {a: {kind: pigeon}}")


def test_a_kind_whose_library_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "import no_such_library")
    with pytest.raises(
        DefinitionError, match=r"channels\.a\.kind: pigeon needs the library no_such_library, .* 'pigeon\[birds\]'"
    ):
        load(tmp_path, "channels: {a: {kind: pigeon}}")
