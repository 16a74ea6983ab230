"""Values in the policy of a pipeline's file: put in without touching anything else, or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fraudstream.define.load import load_pipeline, parse_definition
from fraudstream.define.rewrite import with_policy, write_policy
from fraudstream.errors import UsageError
from fraudstream.pipelines import find_path, names

HEAD = "# ours\nname: shop\nevent: {id: id, fields: {id: string}}  # one field\ninput: in\n"
FORMS = [
    (HEAD, HEAD + "\npolicy:\n  review_at: 0.5\n"),
    (HEAD + "policy:\n", HEAD + "policy: {review_at: 0.5}\n"),
    (HEAD + "policy: {}\n# end\n", HEAD + "policy: {review_at: 0.5}\n# end\n"),
    (HEAD + "policy: {high: 0.4}  # why\n", HEAD + "policy: {review_at: 0.5, high: 0.4}  # why\n"),
    (HEAD + "policy: {review_at: 0.41, high: 0.4}\n", HEAD + "policy: {review_at: 0.5, high: 0.4}\n"),
    (
        HEAD + "policy:\n    # bands\n    high: 0.4  # a person looks\n\nmax_keys: 9\n",
        HEAD + "policy:\n    # bands\n    review_at: 0.5\n    high: 0.4  # a person looks\n\nmax_keys: 9\n",
    ),
    (
        HEAD + "policy:\n  high: 0.4\n  review_at: 0.41   # found in May\nmax_keys: 9\n",
        HEAD + "policy:\n  high: 0.4\n  review_at: 0.5   # found in May\nmax_keys: 9\n",
    ),
    (
        HEAD.replace("\n", "\r\n") + "policy: {high: 0.4}\r\n",
        HEAD.replace("\n", "\r\n") + "policy: {review_at: 0.5, high: 0.4}\r\n",
    ),
]


@pytest.mark.parametrize(("before", "after"), FORMS, ids=[str(i) for i in range(len(FORMS))])
def test_a_value_is_put_where_it_belongs_and_nothing_else_moves(before: str, after: str) -> None:
    assert with_policy(before, {"review_at": "0.5"}) == after
    pipeline = parse_definition(after).pipeline
    assert pipeline is not None and pipeline.policy.review_at == 0.5


def test_an_aim_written_over_several_lines_is_replaced_whole() -> None:
    before = HEAD + "policy:\n  budget:\n    reviews: 100\n    per: 1d\n  high: 0.4\n"
    after = with_policy(before, {"budget": "{reviews: 200, per: 1h}", "review_at": "0.5"})
    policy = parse_definition(after).pipeline.policy  # type: ignore[union-attr]
    assert (policy.budget.reviews, policy.budget.per, policy.high, policy.review_at) == (200, "1h", 0.4, 0.5)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", names())
def test_shipped_pipelines_keep_every_line(name: str, tmp_path: Path) -> None:
    """The file's own lines stand there as they were; the pipeline has the new policy and is otherwise the same."""
    text = find_path(name).read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o640)
    before = load_pipeline(file, {})
    policy = msgspec.structs.replace(before.policy, review_at=0.61)
    write_policy(file, {"review_at": "0.61"}, policy, {})
    assert load_pipeline(file, {}) == msgspec.structs.replace(before, policy=policy)
    kept = iter(file.read_text(encoding="utf-8").splitlines())
    assert all(line in kept for line in text.rstrip().splitlines() if "policy: {" not in line)
    assert file.stat().st_mode & 0o777 == 0o640 and [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_file_that_would_mean_something_else_is_left_alone(tmp_path: Path) -> None:
    """What is written is read again first."""
    file = tmp_path / "p.yaml"
    file.write_text(HEAD)
    policy = msgspec.structs.replace(load_pipeline(file).policy, review_at=0.7)
    with pytest.raises(UsageError, match=r"cannot be changed without a person.* review_at: 0\.5"):
        write_policy(file, {"review_at": "0.5"}, policy, {})
    assert file.read_text() == HEAD
