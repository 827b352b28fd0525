"""What is said of drift: one line for people, one object for JSON."""

from typing import Any

from sclvi.decision.drift import SCORE, Change, Drift
from sclvi.report.overlay import number_text

_WORDS = {  # of a statistic that became lower, and higher
    "level": ("darker", "brighter"),
    "contrast": ("less contrast", "more contrast"),
    "detail": ("blurrier", "sharper or noisier"),
    "across": ("moved left", "moved right"),
    "down": ("moved up", "moved down"),
    "red": ("greener", "redder"),
    "blue": ("yellower", "bluer"),
    SCORE: ("scores lower", "scores higher"),
}


def change_words(change: Change) -> str:
    """Such as "darker"."""
    lower, higher = _WORDS.get(change.statistic, (f"less {change.statistic}", f"more {change.statistic}"))
    return higher if change.higher else lower


def drift_line(drift: Drift) -> str:
    """All of it in one sentence, without its full stop."""
    return ": ".join(filter(None, (drift_headline(drift), "; ".join(change_details(drift)))))


def drift_headline(drift: Drift) -> str:
    """What was found, without what moved."""
    if not drift.of_camera:
        if drift.changes:
            return "the camera and the light are as in training, but the scores are not those of good pictures"
        if drift.pictures < drift.fewest:
            return f"{_count(drift.pictures)} cannot show whether the camera or the light changed; {drift.fewest} can"
        return f"no sign in {_count(drift.pictures)} that the camera or the light changed since training"
    return "the camera or the light changed since training"


def change_details(drift: Drift) -> list[str]:
    """What moved, such as "darker (level 0.41, usually 0.52; noticed after 14 pictures)"."""
    return [
        f"{change_words(change)} ({change.statistic} {number_text(change.now)}, usually {number_text(change.usual)}; "
        f"noticed after {_count(change.noticed)})"
        for change in drift.changes
    ]


def drift_json(drift: Drift) -> dict[str, Any]:
    """For JSON; `drifted` is the answer."""
    return {
        "drifted": bool(drift.changes),
        "says": drift_line(drift),
        "pictures": drift.pictures,
        "fewest_pictures": drift.fewest,
        "false_alarm_rate": drift.false_alarm_rate,
        "changes": [
            {
                "statistic": change.statistic,
                "direction": "higher" if change.higher else "lower",
                "words": change_words(change),
                "noticed_after": change.noticed,
                "usual": change.usual,
                "now": change.now,
            }
            for change in drift.changes
        ],
    }


def _count(pictures: int) -> str:
    return f"{pictures} picture{'' if pictures == 1 else 's'}"
