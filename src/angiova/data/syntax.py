"""The coronary segments of the SYNTAX score, by number, with the names used in prompts.

Source: Sianos et al., "The SYNTAX Score", EuroIntervention 1:219-227 (2005), figure 1.
"""

from __future__ import annotations

from typing import Final

SEGMENT_NAMES: Final[dict[str, str]] = {
    "1": "proximal RCA",
    "2": "mid RCA",
    "3": "distal RCA",
    "4": "right posterior descending artery",
    "5": "left main",
    "6": "proximal LAD",
    "7": "mid LAD",
    "8": "apical LAD",
    "9": "first diagonal",
    "9a": "first diagonal branch a",
    "10": "second diagonal",
    "10a": "second diagonal branch a",
    "11": "proximal circumflex",
    "12": "intermediate artery",
    "12a": "first obtuse marginal",
    "12b": "second obtuse marginal",
    "13": "distal circumflex",
    "14": "left posterolateral",
    "14a": "left posterolateral branch a",
    "14b": "left posterolateral branch b",
    "15": "left posterior descending artery",
    "16": "right posterolateral",
    "16a": "right posterolateral branch a",
    "16b": "right posterolateral branch b",
    "16c": "right posterolateral branch c",
}

# The same in Chinese, as angiography reports in Chinese name them; no two are alike.
SEGMENT_NAMES_ZH: Final[dict[str, str]] = {
    "1": "右冠近段",
    "2": "右冠中段",
    "3": "右冠远段",
    "4": "右后降支",
    "5": "左主干",
    "6": "前降支近段",
    "7": "前降支中段",
    "8": "前降支远段",
    "9": "第一对角支",
    "9a": "第一对角支分支",
    "10": "第二对角支",
    "10a": "第二对角支分支",
    "11": "回旋支近段",
    "12": "中间支",
    "12a": "第一钝缘支",
    "12b": "第二钝缘支",
    "13": "回旋支远段",
    "14": "左后侧支",
    "14a": "左后侧支第一分支",
    "14b": "左后侧支第二分支",
    "15": "左后降支",
    "16": "右后侧支",
    "16a": "右后侧支第一分支",
    "16b": "右后侧支第二分支",
    "16c": "右后侧支第三分支",
}

RIGHT_SEGMENTS: Final = frozenset({"1", "2", "3", "4", "16", "16a", "16b", "16c"})

TREE_PHRASE: Final = "coronary artery tree"
VESSELS_PHRASE: Final = "blood vessels"
CATHETER_PHRASE: Final = "catheter"
STENOSIS_PHRASE: Final = "stenosis"


def segment_phrase(number: str) -> str:
    """Return the phrase for a SYNTAX segment number such as ``"6"`` -> ``"proximal LAD"``.

    Raises:
        KeyError: `number` is not a SYNTAX segment.
    """
    return SEGMENT_NAMES[number]
