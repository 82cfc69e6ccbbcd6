"""Sentences of the picture of a run, in English and Chinese."""

from __future__ import annotations

from typing import Final

CINE_WORDS: Final = {
    "cine.title": ("Run {run}", "序列 {run}"),
    "cine.notice": ("research use only, not for diagnosis", "仅供研究，不用于诊断"),
    "cine.level": ("pixels that look like vessel, %", "类血管像素占比，%"),
    "cine.time": ("seconds", "秒"),
    "cine.number": ("frame", "帧"),
    "cine.peak": ("peak", "峰值"),
    "cine.beats": ("heart beats, {rate} a minute", "心搏，每分钟 {rate} 次"),
    "cine.no_beat": ("heart beats unclear: {why}", "心搏不明确：{why}"),
    "cine.no_phases": ("contrast phases unclear", "对比剂时相不明确"),
    "cine.frame": ("frame {frame}, {time} s", "第 {frame} 帧，{time} 秒"),
    "cine.frame_alone": ("frame {frame}", "第 {frame} 帧"),
    "cine.unclear.SHORT": ("the run is too short", "序列过短"),
    "cine.unclear.SLOW_FRAMES": ("the frames are too far apart", "帧间隔过大"),
    "cine.unclear.STILL": ("nothing moves", "画面静止"),
    "cine.unclear.NO_TIMES": ("the times of the frames are not known", "帧时间未知"),
    "cine.unclear.NO_PEAK": ("nothing comes back at the rate of a heart", "未见心率范围内的周期运动"),
}
