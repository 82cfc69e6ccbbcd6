"""The words around an answer, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from angiova.data.questions.kinds import Kind
from angiova.inference.asking.reply import Verdict
from angiova.inference.asking.shown import Shown
from angiova.inference.predictor import PRESENCE_THRESHOLD
from angiova.morphology.anatomy import Side
from angiova.morphology.graph import Floats
from angiova.morphology.measures import VesselMeasures
from angiova.report.text import Text, fill

CANT_TELL: Final = Text("I can't tell: ", "无法判断：")
BOTH: Final = ("{about}: said {said}, measured {measured}", "{about}：回答 {said}，测量 {measured}")
BESIDE: Final = ("{about}: measured {measured}", "{about}：测量 {measured}")
NOTHING_SAID: Final = Text("no usable answer", "无可用内容")
NOT_MEASURED: Final = Text("nothing, as the model draws nothing of that name", "无（模型未绘出该对象）")
VERDICTS: Final = {
    Verdict.AGREES: Text("agree", "一致"),
    Verdict.DISAGREES: Text("DISAGREE", "不一致"),
}
ABOUT: Final = {
    Kind.TREE: ("coronary tree", "冠脉树"),
    Kind.SEGMENTS: ("segments seen", "可见节段"),
    Kind.VISIBLE: ("{segment} in view", "可见{segment_zh}"),
    Kind.CATHETER: ("catheter", "导管"),
    Kind.CONTRAST: ("contrast", "造影剂"),
    Kind.BRANCHES: ("branches of {threshold} px and more", "长度不少于 {threshold} 像素的分支数"),
    Kind.NARROWEST: ("narrowest place", "最窄处"),
    Kind.STENOSIS: ("stenosis of {threshold} % and more", "狭窄程度不低于 {threshold}%"),
    Kind.BEST_FRAME: ("frame with most contrast", "显影最佳的帧"),
}
SIDES: Final = {Side.LEFT: Text("left", "左冠"), Side.RIGHT: Text("right", "右冠")}
YES: Final = Text("yes", "是")
NO: Final = Text("no", "否")
CATHETER: Final = Text("catheter", "导管")
CONTRAST: Final = Text("contrast", "造影剂")
STEADY: Final = Text("contrast does not clearly come or go in this run", "该序列中造影剂无明显充盈或消退")
WITH_DETAIL: Final = ("{value} ({detail})", "{value}（{detail}）")
SHARE: Final = ("{percent} % of the pixels of named segments", "占已命名节段像素的 {percent}%")
PLACE: Final = ("at row {row}, column {column}", "位于第 {row} 行、第 {column} 列")
WORST: Final = ("worst: {percent} % at row {row}, column {column}", "最重：{percent}%，位于第 {row} 行、第 {column} 列")
ONE_FRAME_SHOWN: Final = Text("only one frame is shown", "只显示了一帧")
VESSEL: Final = Text("vessel", "血管")
CONFIDENCE: Final = ("confidence of the words {percent} %", "文字置信度 {percent}%")
INCOMPLETE: Final = Text("the answer was cut off at its longest length", "回答达到最大长度，已截断")
FORGOTTEN: Final = (
    "the model no longer sees the first {count} questions: it can't read as much",
    "模型已看不到最前面的 {count} 个问题：超出可读长度",
)
LEFT_OUT: Final = ("{count} more masks were asked for and not drawn", "另有 {count} 个掩膜未绘制")
UNSEEN: Final = (
    "no vessels are seen in the frame (presence {presence}, {threshold} is needed)",
    "画面中未见血管（存在概率 {presence}，需达到 {threshold}）",
)
UNSURE: Final = (
    "whether the {name} is there is unsure (presence {presence})",
    "无法确定是否存在 {name}（存在概率 {presence}）",
)
ONE_FRAME: Final = ("measured on {name}", "测量画面：{name}")
FRAME_OF_RUN: Final = ("measured on frame {frame} of {name}", "测量画面：{name} 的第 {frame} 帧")
KEY_FRAMES: Final = (
    "measured on frame {frame} of {name}; the model saw frames {frames} of {count}",
    "测量画面：{name} 的第 {frame} 帧；模型看到的帧：{frames}（共 {count} 帧）",
)
INVITATION: Final = (
    "{name}: frames {frames} of {count}; one question a line, quit ends",
    "{name}：第 {frames} 帧（共 {count} 帧）；每行一个问题，输入 quit 结束",
)
SIZE: Final = ("{length} long, {calibre} wide on average", "长 {length}，平均管径 {calibre}")
PX: Final = ("{number} px", "{number} 像素")
PX_AND_MM: Final = ("{number} px ({mm} mm)", "{number} 像素（{mm} 毫米）")
NARROWEST: Final = ("{size}, {minimum} at the narrowest place", "{size}，最窄处 {minimum}")
NARROWING: Final = ("{size}, a narrowing of {percent} %", "{size}，狭窄 {percent}%")
NOT_SEEN: Final = ("not seen (presence {presence})", "未见（存在概率 {presence}）")
EMPTY: Final = ("drawn empty (presence {presence})", "掩膜为空（存在概率 {presence}）")
TOO_SMALL: Final = ("{area} px in all, too small to be measured", "共 {area} 像素，过小，无法测量")


def invitation(shown: Shown) -> Text:
    """Return what a person is told before the first question."""
    return fill(
        INVITATION, {"name": shown.name, "frames": ", ".join(map(str, shown.frames)), "count": shown.num_frames}
    )


def place_of(shown: Shown) -> Text:
    """Return which frame is measured, and which frames the model saw."""
    values = {"name": shown.name, "frame": shown.frames[shown.measured], "count": shown.num_frames}
    if shown.is_run:
        return fill(KEY_FRAMES, {**values, "frames": ", ".join(map(str, shown.frames))})
    return fill(FRAME_OF_RUN if shown.num_frames > 1 else ONE_FRAME, values)


def size_of(presence: float, area_px: int, measures: VesselMeasures | None) -> Text:
    """Return what is measured of a vessel in one sentence.

    Args:
        presence: probability that it is there.
        area_px: size of its mask.
        measures: what is measured of it; None where it is not seen.
    """
    if measures is None:
        template = NOT_SEEN if presence < PRESENCE_THRESHOLD else EMPTY
        return fill(template, {"presence": f"{presence:.2f}"})
    if not measures.branches:
        return fill(TOO_SMALL, {"area": area_px})
    calibres_px = np.concatenate([branch.own_calibres_px for branch in measures.branches])
    calibres_mm = _own_calibres_mm(measures)
    length = _number(measures.length_px, measures.length_mm, 0)
    size = fill(SIZE, {"length": length, "calibre": _number(*_of_both(np.mean, calibres_px, calibres_mm), 1)})
    size = fill(NARROWEST, {"size": size, "minimum": _number(*_of_both(np.min, calibres_px, calibres_mm), 1)})
    if measures.stenoses:
        size = fill(NARROWING, {"size": size, "percent": round(measures.stenoses[0].percent)})
    return size


def _own_calibres_mm(measures: VesselMeasures) -> Floats | None:
    """Return the calibres that are the branches' own, in millimetres; None without a spacing."""
    found = []
    for branch in measures.branches:
        calibre_N_mm = branch.calibre_N_mm
        if calibre_N_mm is None:
            return None
        found.append(calibre_N_mm[branch.is_measured_N] if branch.is_measured_N.any() else calibre_N_mm)
    return np.concatenate(found)


def _of_both(reduce: Callable[[Floats], float], px: Floats, mm: Floats | None) -> tuple[float, float | None]:
    return float(reduce(px)), None if mm is None else float(reduce(mm))


def _number(px: float, mm: float | None, digits: int) -> Text:
    if mm is None:
        return fill(PX, {"number": f"{px:.{digits}f}"})
    return fill(PX_AND_MM, {"number": f"{px:.{digits}f}", "mm": f"{mm:.{digits + 1}f}"})
