"""Score a Kafka topic of transactions as they happen: features over history, rules and a model, exactly once.

The names below are the library's public face. Each is imported when it is first used, so `import fraudstream` costs
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fraudstream.define.decision import Action as Action
    from fraudstream.define.decision import ModelRef as ModelRef
    from fraudstream.define.decision import Outcome as Outcome
    from fraudstream.define.decision import Policy as Policy
    from fraudstream.define.decision import RiskLevel as RiskLevel
    from fraudstream.define.decision import Rule as Rule
    from fraudstream.define.decision import Stage as Stage
    from fraudstream.define.decision import ValueList as ValueList
    from fraudstream.define.feature import Feature as Feature
    from fraudstream.define.feature import FeatureKind as FeatureKind
    from fraudstream.define.load import load_pipeline as load_pipeline
    from fraudstream.define.pipeline import Form as Form
    from fraudstream.define.pipeline import Pipeline as Pipeline
    from fraudstream.define.pipeline import Route as Route
    from fraudstream.define.pipeline import Selection as Selection
    from fraudstream.define.pipeline import Topic as Topic
    from fraudstream.define.write import to_yaml as to_yaml
    from fraudstream.errors import DefinitionError as DefinitionError
    from fraudstream.errors import FraudstreamError as FraudstreamError
    from fraudstream.errors import Problem as Problem
    from fraudstream.pipelines import find_pipeline as find_pipeline
    from fraudstream.plan.compile import plan_of as plan_of
    from fraudstream.plan.diff import diff as diff
    from fraudstream.plan.explain import explain as explain
    from fraudstream.plan.load import plan_file as plan_file
    from fraudstream.plan.plan import Plan as Plan
    from fraudstream.schema.event import Event as Event
    from fraudstream.schema.event import Field as Field
    from fraudstream.schema.event import FieldType as FieldType
    from fraudstream.schema.event import TimeFormat as TimeFormat

_MODULES = {
    "define.decision": "Action ModelRef Outcome Policy RiskLevel Rule Stage ValueList",
    "define.feature": "Feature FeatureKind",
    "define.load": "load_pipeline",
    "define.pipeline": "Form Pipeline Route Selection Topic",
    "define.write": "to_yaml",
    "errors": "DefinitionError FraudstreamError Problem",
    "pipelines": "find_pipeline",
    "plan.compile": "plan_of",
    "plan.diff": "diff",
    "plan.explain": "explain",
    "plan.load": "plan_file",
    "plan.plan": "Plan",
    "schema.event": "Event Field FieldType TimeFormat",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'fraudstream' has no attribute {name!r}")
    value = getattr(import_module(f"fraudstream.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
