"""Sentences about questions answered in words, English beside Chinese."""

from __future__ import annotations

from typing import Final

ANSWER_WORDS: Final[dict[str, tuple[str, str]]] = {
    "answers.title": ("Questions answered in words", "文字问答"),
    "answers.frames": (
        "{model} was asked about {n} frames of the {split} split of {folder}; each question is asked in one of two "
        "languages.",
        "对 {folder} 的 {split} 集 {n} 帧图像向 {model} 提问；每个问题使用两种语言之一。",
    ),
    "answers.how": (
        "Words: what the model says. Masks: the same read from the masks that it draws. Guess: the answer to the same "
        "question that is most often right among these very frames, which no model that sees nothing can beat. An "
        "answer that says nothing usable is wrong; errors (branches, pixels) are absolute, of usable answers, and the "
        "smaller the better.",
        "文字：模型所说的答案。掩膜：从模型所画掩膜测得的同一答案。猜测：在这些图像中对同一问题最常正确的答案，"
        "看不见图像的模型不可能超过它。没有可用内容的回答计为错误；误差（分支数、像素）为可用回答的绝对误差，越小越好。",
    ),
    "answers.patients": (
        "Means over patients with 95 % intervals over patients.",
        "均值按患者计算，方括号内为按患者计算的 95% 置信区间。",
    ),
    "answers.no_patients": (
        "Patients are not known for all frames: means over frames stand without an interval.",
        "并非所有帧都有患者编号：帧均值不附置信区间。",
    ),
    "answers.partly": (
        "Segments in view may lack a label: none was listed, and none said to be absent but those of the other tree.",
        "可见节段可能没有标注：不要求列出节段，也只有另一侧冠脉的节段算作不可见。",
    ),
    "answers.caption": ("By kind of question", "按问题类型"),
    "answers.in": ("Asked in {language}", "{language}提问"),
    "answers.language.en": ("English", "英文"),
    "answers.language.zh": ("Chinese", "中文"),
    "answers.kind": ("Question", "问题"),
    "answers.metric": ("Metric", "指标"),
    "answers.asked": ("Asked", "提问数"),
    "answers.model": ("Words", "文字"),
    "answers.measured": ("Masks", "掩膜"),
    "answers.guess": ("Guess", "猜测"),
    "answers.unusable": ("Words say nothing usable", "文字无可用内容"),
    "answers.metric.accuracy": ("accuracy", "正确率"),
    "answers.metric.F1": ("F1", "F1"),
    "answers.metric.error": ("error", "误差"),
    "answers.kind.tree": ("left or right tree", "左或右冠状动脉"),
    "answers.kind.segments": ("visible segments", "可见节段"),
    "answers.kind.visible": ("is a segment visible", "某节段是否可见"),
    "answers.kind.catheter": ("is there a catheter", "有无导管"),
    "answers.kind.contrast": ("is there contrast", "有无造影剂"),
    "answers.kind.branches": ("number of branches", "分支数"),
    "answers.kind.narrowest": ("narrowest place (px)", "最窄处（像素）"),
    "answers.kind.stenosis": ("is there a stenosis", "有无狭窄"),
    "answers.axis": (
        "accuracy or F1, 95 % interval where patients are known",
        "正确率或 F1；已知患者时附 95% 置信区间",
    ),
    "answers.chart": (
        "Words and masks beside the guess (diamond), of questions with a share of right answers.",
        "文字与掩膜答案对比猜测（菱形），仅含以正确比例衡量的问题。",
    ),
    "answers.fact": ("Fact", "事实"),
    "answers.present": ("Present", "正确"),
    "answers.missing": ("Missing", "缺失"),
    "answers.false": ("False", "错误"),
    "answers.descriptions": (
        "Descriptions: facts told and right, not told, told and wrong",
        "描述：说对的、未提及的、说错的事实",
    ),
    "answers.wrong": (
        "Wrong answers, spread over those of each kind: nobody chose them. From left to right: frame, labels.",
        "各类问题的错误回答，均匀抽取，非人为挑选。从左到右：原图、标注。",
    ),
    "answers.all_right": ("No answer was wrong.", "没有错误回答。"),
    "answers.not_shown": (
        "This evaluation does not say which wrong answers to show. Ask again to see them.",
        "此评估没有记录要展示的错误回答。请重新提问后查看。",
    ),
    "answers.case": (
        '{kind}: {frame}. "{question}" Answer: "{words}" Truth: {truth}.',
        "{kind}：{frame}。问：“{question}” 答：“{words}” 真值：{truth}。",
    ),
    "answers.case_measured": (
        '{kind}: {frame}. "{question}" Answer: "{words}" Truth: {truth}. Measured on its masks: {measured}.',
        "{kind}：{frame}。问：“{question}” 答：“{words}” 真值：{truth}。掩膜测得：{measured}。",
    ),
    "answers.yes": ("yes", "是"),
    "answers.no": ("no", "否"),
    "answers.nothing": ("nothing", "无"),
    "answers.side.left": ("left", "左"),
    "answers.side.right": ("right", "右"),
    "answers.trained": (
        "Questions were asked about {n} frames that the model was trained on: the answers say nothing about other "
        "patients.",
        "所提问的 {n} 帧图像参与过训练：这些回答不能说明对其他患者的表现。",
    ),
    "answers.leakage": (
        "Questions were asked about frames that share {patients} patients, {files} files and {near} near-duplicates "
        "with those trained on: the answers say nothing about other patients.",
        "所提问的图像与训练图像共有患者 {patients} 名、相同文件 {files} 个、近似重复 {near} 帧："
        "这些回答不能说明对其他患者的表现。",
    ),
    "answers.unknown": (
        "Which frames the model was trained on is not known: the frames asked about may be among them.",
        "模型的训练图像未知：所提问的图像可能参与过训练。",
    ),
    # strengths, limits, next steps
    "strength.words_beat_guess": (
        "Words, {kind}: {metric} {model} over {n} questions, better than a guess ({guess}).",
        "文字回答，{kind}：{n} 个问题的{metric} {model}，优于猜测（{guess}）。",
    ),
    "limit.words_below_guess": (
        "Words, {kind}: {metric} {model} over {n} questions, worse than a guess that sees nothing ({guess}).",
        "文字回答，{kind}：{n} 个问题的{metric} {model}，不及不看图像的猜测（{guess}）。",
    ),
    "limit.no_answer": (
        "Words, {kind}: none of {n} answers says anything usable.",
        "文字回答，{kind}：{n} 个回答均无可用内容。",
    ),
    "limit.neither": (
        "{kind}: what is measured on the masks ({metric} {measured}) is worse than a guess ({guess}) too. Use neither.",
        "{kind}：掩膜测得的结果（{metric} {measured}）也不及猜测（{guess}）。两者均不可用。",
    ),
    "next.trust_masks": (
        "{kind}: take what is measured on the masks, not the words: {metric} {measured} over {n} questions (guess "
        "{guess}).",
        "{kind}：以掩膜测得的结果为准，不用文字回答：{n} 个问题的{metric} {measured}（猜测 {guess}）。",
    ),
    "strength.facts_right": (
        "Descriptions, {fact}: {false} of {told} facts told are wrong.",
        "描述，{fact}：所述 {told} 个事实中 {false} 个错误。",
    ),
    "limit.facts_false": (
        "Descriptions, {fact}: {false} of {told} facts told are wrong.",
        "描述，{fact}：所述 {told} 个事实中 {false} 个错误。",
    ),
}
