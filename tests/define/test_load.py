"""Reading a pipeline's file: what it gives, and every way its structure can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fraudstream.define.load import load_pipeline, parse_definition, read_definition
from fraudstream.define.pipeline import DEFAULT_ROUTES, Pipeline, Topic
from fraudstream.errors import DefinitionError, Problem
from fraudstream.plan.load import plan_definition
from fraudstream.schema.event import FieldType, TimeFormat

GOOD = """\
name: card-watch
event:
  id: id
  time: at
  key: card
  amount: amount
  fields:
    id: integer
    at: {type: timestamp, format: epoch_ms}
    card: string
    amount: decimal(3)
    place: location?
    note: {type: "string?", path: a.b, sensitive: true}
input: {name: tx, partitions: 3}
features:
  card_sum_{over}: {sum: amount, by: card, over: [1h, 1d], description: "over {over}"}
  cards: {count: , by: [card, note], over: 1h, where: amount > 1, prior: true}
  tested: {sequence: [amount < 2, amount > 100], by: card, over: 1h}
rules:
  BIG: {when: card_sum_1d > 5, action: score, score: 0.5, reason: big}
"""


def read(text: str, **environ: str) -> Pipeline:
    definition = parse_definition(text, environ=environ)
    assert not definition.problems, definition.problems
    assert definition.pipeline is not None
    return definition.pipeline


def test_the_short_forms_mean_what_the_page_says() -> None:
    """Types with digits and `?`, one topic by name, windows that make several features."""
    pipeline = read(GOOD)
    fields = {field.name: field for field in pipeline.event.fields}
    assert fields["amount"].scale == 3
    assert fields["place"].type is FieldType.LOCATION
    assert not fields["place"].required
    assert not fields["note"].required
    assert fields["note"].sensitive
    assert fields["note"].path == "a.b"
    assert fields["at"].format is TimeFormat.EPOCH_MS
    assert pipeline.input == Topic(name="tx", partitions=3)
    assert pipeline.routes == DEFAULT_ROUTES
    assert [f.name for f in pipeline.features] == ["card_sum_1h", "card_sum_1d", "cards", "tested"]
    assert [f.description for f in pipeline.features[:2]] == ["over 1h", "over 1d"]
    assert pipeline.features[2].of is None
    assert pipeline.features[2].prior
    assert pipeline.features[3].steps == ("amount < 2", "amount > 100")


def test_variables_come_from_the_environment_and_else_from_their_default() -> None:
    """`${NAME:-default}`, also beside other text; `$${` is a literal `${`."""
    text = GOOD.replace("name: tx", 'name: "${T:-tx}.${SUFFIX:-v1}"').replace("reason: big", 'reason: "$${T}"')
    assert read(text).input.name == "tx.v1"
    assert read(text, T="mine").input.name == "mine.v1"
    assert read(text, T="").input.name == "tx.v1"
    assert read(text, T="a: [b").rules[0].reason == "${T}"


def test_the_words_of_older_yaml_stay_words() -> None:
    """`no`, `on` and `1:30` are texts, and digits in a list keep their zeros."""
    pipeline = read(GOOD + "lists: {watched: [no, on, 1:30, 007, 1e3, 2026-01-01]}\n")
    assert pipeline.lists[0].values == ("no", "on", "1:30", "007", "1e3", "2026-01-01")


def test_a_lists_file_lies_beside_the_pipelines_file(tmp_path: Path) -> None:
    """Wherever the command is run."""
    (tmp_path / "p.yaml").write_text(GOOD + "lists: {watched: {file: w.txt}}\n")
    assert load_pipeline(tmp_path / "p.yaml").lists[0].file == str(tmp_path / "w.txt")


PROBLEMS = [
    # (what is replaced, by what) or text to add, path, line, words of what is found, words of the advice
    ("polcy: {}\n", "polcy", 21, "unknown key 'polcy'", "Did you mean 'policy'?"),
    (("key: card\n", "kee: card\n"), "event.kee", 5, "unknown key", "Did you mean 'key'?"),
    (("name: card-watch\n", ""), "name", None, "is missing", "Every pipeline says its `name`"),
    (("input: {name: tx, partitions: 3}\n", ""), "input", None, "is missing", "`input`"),
    (("partitions: 3", "partitions: three"), "input.partitions", 14, "'three' where a whole number", "like 6"),
    (("input: {", "max_keys: many\ninput: {"), "max_keys", 14, "'many' where a whole number", "like 6"),
    (("{name: tx, partitions: 3}", "{partitions: 3}"), "input", 14, "no name", "Add `name: …`"),
    (("decimal(3)", "decimel(3)"), "event.fields.amount", 11, "'decimel(3)' is not a type", "'decimal'"),
    (("card: string", "card: string(3)"), "event.fields.card", 10, "does not take digits", "Only decimal"),
    (("card: string", "card: "), "event.fields.card", 10, "has no type", "string"),
    (("epoch_ms", "epoch"), "event.fields.at.format", 9, "'epoch' is not allowed", "epoch_ms"),
    (("sensitive: true", "sensitive: yes"), "event.fields.note.sensitive", 13, "true or false", "`true`"),
    (("sum: amount", "smu: amount"), "features.card_sum_{over}.smu", 16, "unknown key 'smu'", "'sum'"),
    (("{count: ,", "{"), "features.cards", 17, "has no kind", "count"),
    (("{count: ,", "{count: , sum: amount,"), "features.cards", 17, "several kinds: count, sum", "one of"),
    (("card_sum_{over}", "card_sum"), "features.card_sum", 16, "several windows, one name", "{over}"),
    (("cards:", "card_sum_1h:"), "features.card_sum_1h", 17, "declared twice", "must differ"),
    (("cards: {count: , by: [card, note]", "cards: {count: , by: {a: b}"), "features.cards.by", 17, "a mapping", "one"),
    (("  tested: {sequence", "  tested: sequence\n  t2: {sequence"), "features.tested", 18, "feature belongs", "kind"),
    (("  tested:", "  cards: {count: , by: card, over: 1d}\n  tested:"), "features.cards", 18, "twice", "Keep one"),
    (("action: score", "action: scroe"), "rules.BIG.action", 20, "'scroe' is not allowed", "Did you mean 'score'?"),
    (("action: score,", ""), "rules.BIG", 20, "`action` is missing", "block"),
    (("when: card_sum_1d > 5, ", ""), "rules.BIG", 20, "`when` is missing", "predicate"),
    (("score: 0.5", "score: half"), "rules.BIG.score", 20, "'half' where a number belongs", "0.6"),
    (("name: tx", "name: ${NOT_SET}"), "yaml", 14, "not YAML", "quotes"),
    (("name: tx", 'name: "${NOT_SET}"'), "input.name", 14, "variable NOT_SET is not set", "`${NOT_SET:-default}`"),
    (("name: tx", 'name: "${1}"'), "input.name", 14, "is not a variable", "${NAME:-default}"),
    ("routes: fraud\n", "routes", 21, "'fraud' where a list belongs", "`- topic: …`"),
    ("routes: [{carries: all}]\n", "routes.0", 21, "no topic", "Add `topic: …`"),
    ("routes: [{topic: a, carries: some}]\n", "routes.0.carries", 21, "'some'", "approved"),
    ("lists: {a: [x, [y]]}\n", "lists.a.values.1", 21, "a list where a text", "one value"),
    ("lists: {a: [x, ]}\npolicy: [1]\n", "policy", 22, "a list where a mapping", "key: value"),
    ("policy: {precedence: [allow, modle]}\n", "policy.precedence.1", 21, "'modle'", "Did you mean 'model'?"),
    ("policy: {budget: {per: 1d}}\n", "policy.budget", 21, "`reviews` is missing", "reviews: 200"),
    ("policy: {budget: 200}\n", "policy.budget", 21, "'200' where a mapping", "key: value"),
    ("policy: {costs: {investigation: 5, missed: all}}\n", "policy.costs.missed", 21, "'all' where a number", "0.6"),
    ("policy: {let_through: {share: 0.1}}\n", "policy.let_through", 21, "`at_most` is missing", "at_most: 1000"),
    ("model: {features: [a, b], missing: .nan}\n", "model.missing", 21, "'.nan'", "0.6"),
    ("extra: &a 1\n", "yaml", 21, "alias &a", "write it out"),
    ("extra: *a\n", "yaml", 21, "alias *a", "write it out"),
    ("extra: !!python/object:os.system x\n", "yaml", 21, "tag", "leave it out"),
    ("---\nname: two\n", "yaml", 21, "second document", "one pipeline"),
    ("? [a]\n: b\n", "yaml", 21, "a list as a key", "word"),
    ("extra: [" + "[" * 30 + "]" * 31 + "\n", "yaml", 21, "nested more than 20 deep", "about 4"),
    ('description: "\\x07"\n', "yaml", 21, "character", "Leave it out"),
    ("bad: a: b\n", "yaml", 21, "not YAML (column", "indentation"),
]


@pytest.mark.parametrize(
    ("change", "path", "line", "found", "advice"), PROBLEMS, ids=[f"{p[1]} {p[3]}" for p in PROBLEMS]
)
def test_a_problem_says_where_what_and_what_to_do(
    change: str | tuple[str, str], path: str, line: int | None, found: str, advice: str
) -> None:
    """Every kind of structural problem has its path, its line, what was found and advice."""
    text = GOOD + change if isinstance(change, str) else GOOD.replace(*change)
    assert text != GOOD
    definition = parse_definition(text, environ={})
    assert [(p.path, p.line) for p in definition.problems] == [(path, line)]
    problem = definition.problems[0]
    assert found in problem.found
    assert advice in problem.advice
    assert path in str(problem)


def test_all_problems_come_at_once_and_none_twice(tmp_path: Path) -> None:
    """Structure and meaning together, by line; what mentions a broken name is not reported again."""
    text = GOOD.replace("sum: amount", "smu: amount").replace("action: score", "action: scroe")
    text = text.replace("note: {type", "nota: {type").replace("partitions: 3", "partitions: 0")
    with pytest.raises(DefinitionError) as caught:
        plan_definition(parse_definition(text + "model: {features: [card_sum_1h, amuont]}\n", "watch.yaml"))
    assert [(p.path, getattr(p, "line", None)) for p in caught.value.problems] == [
        ("input", 14),
        ("features.card_sum_{over}.smu", 16),
        ("features.cards.by", 17),
        ("rules.BIG.action", 20),
        ("model.features", 21),
    ]
    assert str(caught.value).startswith("watch.yaml has 5 problems:\n  line 14, input: 0 partitions.")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"name: \xe4\n", None, b"#" * 1_000_001], ids=str)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, content: bytes | None) -> None:
    """Not UTF-8, not there, a folder, or far too large."""
    path = tmp_path / "p.yaml"
    if content is not None:
        path.write_bytes(content)
    for each in (path, tmp_path):
        with pytest.raises(DefinitionError, match=r"cannot be read: .+ Give a YAML file in UTF-8") as caught:
            load_pipeline(each)
        assert caught.value.problems[0].path == "file"


def test_a_device_that_never_ends_is_refused() -> None:
    """Reading it would take all memory."""
    assert "not a file" in read_definition(Path("/dev/zero")).problems[0].found


WORDS = st.sampled_from(
    ["name", "event", "fields", "features", "rules", "id", "card", "decimal(2)?", "string", "count", "sum", "over",
     "{over}", "1h", "when", "amount > 1", "action", "block", "null", "true", "-1", "0.5", "${A:-b}", "${", "input",
     "lists", "policy", "model", "routes", "topic", "by", "labels", "sequence", "expression", "precedence", "", "ü"]
)  # fmt: skip
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)


def survives(text: str) -> None:
    problems = []
    try:
        plan_definition(parse_definition(text, environ={}))
    except DefinitionError as error:
        problems = error.problems or [Problem("", "")]
    assert all(problem.path and problem.found for problem in problems)


SECTIONS = (
    "name",
    "event",
    "input",
    "features",
    "rules",
    "lists",
    "model",
    "policy",
    "routes",
    "labels",
    "description",
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SECTIONS, TREES)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_tree_makes_reading_crash(tree: dict[str, object]) -> None:
    """Whatever YAML holds, the answer is a plan or its problems."""
    import yaml

    survives(yaml.safe_dump(tree, allow_unicode=True))


@given(
    st.text(max_size=200) | st.lists(st.sampled_from(list("{}[]:,-&*!|>'\"%@`#? \n\tab1~")), max_size=60).map("".join)
)
@example("\x00")
@example("a: b: c")
@example("[" * 5_000)
@example("{a: " * 5_000)
@example("- " * 5_000)
@settings(max_examples=300, deadline=None)
def test_no_text_makes_reading_crash(text: str) -> None:
    """Also what is not YAML at all."""
    survives(text)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_small_damage_makes_reading_crash(data: st.DataObject) -> None:
    """A good file with a slice cut out, doubled or overwritten."""
    start = data.draw(st.integers(0, len(GOOD) - 1))
    end = data.draw(st.integers(start, min(start + 40, len(GOOD))))
    survives(GOOD[:start] + data.draw(st.sampled_from(["", GOOD[start:end] * 2, "\n", "[", "x: ", "'"])) + GOOD[end:])
