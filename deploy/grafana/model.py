"""The dashboard of who trains models: does the model see what it learned from, and is it right?"""

from __future__ import annotations

from fraud import NEWEST_LABELS, OURS
from panels import GREEN, ORANGE, RED, Json, choice, dashboard, heat, prom, ranks, series, sql, stat

OF = 'pipeline="$pipeline"'
LIMITS = "Above the line it counts as a change, unless the pipeline's `monitor` section says otherwise."


def degraded(over: str) -> str:
    """The share of decisions made without the model."""
    flagged = f'sum(rate(fraudstream_decision_flags_total{{{OF}, flag="degraded"}}[{over}]))'
    return f"{flagged} / sum(rate(fraudstream_decisions_total{{{OF}}}[{over}]))"


def at_a_glance() -> list[Json]:
    """What is looked at first."""
    champion = prom(f'max by (model) (fraudstream_model_info{{{OF}, role="champion"}})', "{{model}}")
    good = [(None, RED), (0.3, ORANGE), (0.5, GREEN)]
    return [
        stat("Champion", champion, name=True, width=5, about="The version whose score decides."),
        stat(
            "Average precision",
            prom(f"max(fraudstream_average_precision{{{OF}}})"),
            decimals=3,
            steps=good,
            about="Of the champion's score, on events that are settled: labelled, or older than labels take.",
        ),
        stat(
            "Precision",
            prom(f"max(fraudstream_precision{{{OF}}})"),
            unit="percentunit",
            decimals=0,
            steps=good,
            width=3,
            about="Which part of the alerts that are known by now were fraud.",
        ),
        stat(
            "Recall",
            prom(f"max(fraudstream_recall{{{OF}}})"),
            unit="percentunit",
            decimals=0,
            steps=good,
            width=3,
            about="Which part of the frauds that are known by now was flagged.",
        ),
        stat(
            "Largest drift",
            prom(f"max(fraudstream_drift_psi{{{OF}}})"),
            decimals=2,
            width=3,
            steps=[(None, GREEN), (0.1, ORANGE), (0.25, RED)],
            about="The greatest population stability index of an input or the score.",
        ),
        stat(
            "Alarms",
            prom(f"sum(fraudstream_alarms{{{OF}}}) or vector(0)"),
            decimals=0,
            width=3,
            steps=[(None, GREEN), (1, RED)],
            about="Limits of the pipeline's `monitor` section that are passed now.",
        ),
        stat(
            "Degraded",
            prom(degraded("$__rate_interval")),
            unit="percentunit",
            decimals=1,
            width=3,
            steps=[(None, GREEN), (0.001, ORANGE), (0.01, RED)],
            about="Which part of the decisions was made without the model.",
        ),
    ]


def scores() -> list[Json]:
    """What the model says."""
    part = (
        "count(*) FILTER (WHERE label = '{0}')::float / nullif(sum(count(*) FILTER (WHERE label = '{0}')) OVER (), 0)"
    )
    by_label = f"""
SELECT to_char(least(floor(model_score * 20), 19) / 20, '0.00') AS score,
    {part.format("legitimate")} AS legitimate,
    {part.format("fraud")} AS fraud
FROM decisions JOIN ({NEWEST_LABELS.strip()}) AS known USING (event_id)
WHERE {OURS} AND model_score IS NOT NULL
GROUP BY 1
ORDER BY 1
"""
    shown = f'fraudstream_model_score_bucket{{{OF}, role="champion"}}'
    rates = f"sum by (le, role) (rate(fraudstream_model_score_bucket{{{OF}}}[$__rate_interval]))"
    return [
        heat(
            "Scores",
            prom(f"sum by (le) (increase({shown}[$__rate_interval]))", "{{le}}", form="heatmap"),
            about="How the champion's scores are distributed: darker where there are more.",
        ),
        ranks(
            "Scores by what it turned out to be",
            sql(by_label),
            width=12,
            height=8,
            lying=False,
            unit="percentunit",
            about="Which part of the legitimate events, and of the frauds, has which score; best far apart.",
        ),
        series(
            "Score, median and top",
            prom(f"histogram_quantile(0.5, {rates})", "{{role}} p50"),
            prom(f"histogram_quantile(0.99, {rates})", "{{role}} p99"),
            about="A champion and a challenger that score alike are hard to tell apart.",
            top=1,
        ),
        series(
            "The model's alerts",
            prom(f"max(fraudstream_model_alert_share{{{OF}}})", "share of events"),
            unit="percentunit",
            about="Which part of the events has a score from the threshold on.",
        ),
        series(
            "Decisions without the model",
            prom(degraded("$__rate_interval"), "degraded"),
            prom(f"max by (code) (fraudstream_switched_off{{{OF}}})", "{{code}} is off"),
            unit="percentunit",
            about="The fallback decided: no model could serve, or somebody switched it off.",
        ),
    ]


def drift() -> list[Json]:
    """Whether what the model sees is what it was tested on."""
    return [
        series(
            "Drift, PSI",
            prom(f"max by (input) (fraudstream_drift_psi{{{OF}}})", "{{input}}"),
            line_at=0.25,
            width=6,
            about="Population stability index of each input and of the score against the model's test. " + LIMITS,
        ),
        series(
            "Drift, Kolmogorov–Smirnov",
            prom(f"max by (input) (fraudstream_drift_ks{{{OF}}})", "{{input}}"),
            line_at=0.25,
            width=6,
            top=1,
            about="The greatest difference between the distributions. " + LIMITS,
        ),
        series(
            "Nulls",
            prom(f"max by (input) (fraudstream_null_share{{{OF}}})", "{{input}}"),
            unit="percentunit",
            width=6,
            about="Which part of the events lacks the input.",
        ),
        series(
            "Out of range",
            prom(f"max by (input) (fraudstream_out_of_range_share{{{OF}}})", "{{input}}"),
            unit="percentunit",
            width=6,
            line_at=0.02,
            about="Values beyond the smallest and the greatest of the model's test. " + LIMITS,
        ),
    ]


def quality() -> list[Json]:
    """Whether it is right."""
    checked = f"max(fraudstream_skew_checked{{{OF}}})"
    return [
        series(
            "Quality",
            prom(f"max(fraudstream_precision{{{OF}}})", "precision"),
            prom(f"max(fraudstream_recall{{{OF}}})", "recall"),
            prom(f"max(fraudstream_average_precision{{{OF}}})", "average precision"),
            unit="percentunit",
            top=1,
            about="By the labels that have come; the newest frauds are not known yet.",
        ),
        series(
            "What is known",
            prom(f"max(fraudstream_labelled_events{{{OF}}})", "labelled events"),
            prom(f"max(fraudstream_known_frauds{{{OF}}})", "known frauds"),
            about="What the quality is measured on; with few frauds it says little.",
        ),
        series(
            "Skew",
            prom(checked, "checked"),
            prom(f"max(fraudstream_skew_differing{{{OF}}})", "differing"),
            about="Decisions whose features were computed again from the log; any that differ are a defect.",
        ),
        series(
            "Challengers",
            prom(
                f"sum by (model, role) (rate(fraudstream_model_score_sum{{{OF}}}[$__rate_interval])) "
                f"/ sum by (model, role) (rate(fraudstream_model_score_count{{{OF}}}[$__rate_interval]))",
                "{{role}} {{model}}",
            ),
            width=12,
            height=7,
            about="The mean score of each version that scores, in the shadow, too.",
        ),
        series(
            "In the shadow",
            prom(f"sum(rate(fraudstream_shadow_scores_total{{{OF}}}[$__rate_interval]))", "scored"),
            prom(f"sum(rate(fraudstream_shadow_skipped_total{{{OF}}}[$__rate_interval]))", "skipped for want of time"),
            width=12,
            height=7,
            about="Scores of challengers, a second. Without a challenger there are none.",
        ),
    ]


MODEL = dashboard(
    "model",
    "Model",
    "Does the model see what it learned from, and is it right? Drift and quality are those of `fraudstream monitor`.",
    "6h",
    [choice("pipeline", "Pipeline", "label_values(fraudstream_model_info, pipeline)")],
    [
        ("At a glance", at_a_glance()),
        ("Scores", scores()),
        ("Drift", drift()),
        ("Quality", quality()),
    ],
)
