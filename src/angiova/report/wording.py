"""Every sentence of the report, English beside Chinese. Metric and loss names stay as the files have them."""

from __future__ import annotations

from typing import Final

from angiova.errors import ConfigError

LANGUAGES: Final = ("en", "zh")

WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Training and evaluation report", "训练与评估报告"),
    "subtitle": (
        "Run {run} · {preset} · started {started} · angiova {version}",
        "运行 {run} · {preset} · 开始于 {started} · angiova {version}",
    ),
    "footer": (
        "Research use only; not a medical device. Every figure comes from run.json, metrics.jsonl and evaluation/ of "
        "the run folder; nothing was added by hand.",
        "仅供科研使用，不是医疗器械。所有数字均来自运行目录中的 run.json、metrics.jsonl 和 evaluation/，"
        "没有任何手工添加。",
    ),
    # headline
    "headline.model": (
        "A Sa2VA model (preset {preset}) of {total} parameters, {trainable} of them trained ({share}).",
        "Sa2VA 模型（预设 {preset}），共 {total} 个参数，其中 {trainable} 个参与训练（{share}）。",
    ),
    "headline.unseen": (
        "Evaluated on {frames} frames of {patients} patients ({split} split) that it was never trained on.",
        "在 {patients} 名从未参与训练的患者的 {frames} 帧图像（{split} 集）上评估。",
    ),
    "headline.chosen": (
        "The validation split served to choose the checkpoint, so its figures flatter.",
        "验证集用于挑选检查点，因此其数字偏乐观。",
    ),
    "headline.trained": (
        "Evaluated on {frames} frames of the {split} split, of which {patients} patients were trained on.",
        "在 {split} 集的 {frames} 帧图像上评估，其中 {patients} 名患者参与过训练。",
    ),
    "headline.trainsplit": (
        "Evaluated on {frames} frames that it was trained on; this says nothing about new patients.",
        "在 {frames} 帧训练图像上评估；这不能说明模型对新患者的表现。",
    ),
    "headline.frames": (
        "Evaluated on {frames} frames of the {split} split. Patients are unknown, so nobody can say that none was "
        "trained on.",
        "在 {split} 集的 {frames} 帧图像上评估。患者身份未知，无法保证其中没有参与过训练的患者。",
    ),
    "headline.otherdata": (
        "Evaluated on {frames} frames of a data set other than the one trained on; whether they share patients was not "
        "checked.",
        "在另一个数据集的 {frames} 帧图像上评估；未检查两个数据集是否有相同患者。",
    ),
    "headline.none": (
        "Not evaluated. Nothing is known about how well this model segments.",
        "未评估。该模型的分割效果未知。",
    ),
    "headline.margin": (
        "Asked for a named segment, its mask agrees with that segment by Dice {asked}; with the masks for other names "
        "the agreement is {chance} (chance level). The margin is {margin}, 95 % interval {interval}.",
        "要求分割某一命名节段时，掩膜与该节段的 Dice 为 {asked}；用其他节段名得到的掩膜 Dice 为 {chance}（随机水平）。"
        "差值为 {margin}，95% 置信区间 {interval}。",
    ),
    "headline.nomargin": (
        "This margin is not shown to be above 0: nothing proves that the model follows the name it is asked for.",
        "该差值未被证明大于 0：没有证据表明模型遵循所要求的节段名称。",
    ),
    # cards
    "card.dice": ("Dice, {kind}", "Dice，{kind}"),
    "card.cldice": ("clDice, {kind}", "clDice，{kind}"),
    "card.patients": ("mean over {n} patients, 95 % interval {interval}", "{n} 名患者均值，95% 置信区间 {interval}"),
    "card.patients_alone": ("mean over {n} patients, no interval", "{n} 名患者均值，无置信区间"),
    "card.frames": ("mean over {n} frames; no patient level", "{n} 帧均值；无患者层面结果"),
    "card.margin": ("Margin over chance, named segments", "命名节段超出随机水平"),
    "card.margin_detail": ("95 % interval {interval} over {n} {unit}", "95% 置信区间 {interval}（{n} {unit}）"),
    "card.untrusted": ("do not use: see the error above", "不可使用：见上方错误"),
    "card.parameters": ("Parameters trained", "训练参数"),
    "card.parameters_detail": ("of {total} in the whole model", "整个模型共 {total}"),
    "card.time": ("Wall time", "总用时"),
    "card.time_detail": ("{steps} optimizer steps", "{steps} 个优化步"),
    "unit.patient": ("patients", "名患者"),
    "unit.frame": ("frames", "帧"),
    # notices
    "notice.untrusted": ("These figures cannot be trusted.", "这些数字不可信。"),
    "notice.finding": ("{title} {where}: {message}. {remedy}", "{title} {where}：{message}。{remedy}"),
    "notice.status": (
        "The run did not finish: its status is {status}. {done} of {planned} optimizer steps were taken.",
        "运行未完成：状态为 {status}，完成 {done} / {planned} 个优化步。",
    ),
    "notice.independent": (
        "Frames were split without patient ids, on the user's statement that frames are independent. Frames of one "
        "patient may lie in training and test: the result may be too good, and intervals too narrow.",
        "由于用户声明各帧相互独立，数据在没有患者编号的情况下划分。同一患者的帧可能同时出现在训练集和测试集："
        "结果可能偏高，置信区间可能偏窄。",
    ),
    "notice.simulated": (
        "{n} of {total} evaluated targets are simulated. They show that the procedure works and say nothing about "
        "patients.",
        "{total} 个评估目标中有 {n} 个为模拟数据。它们只证明流程可行，不能说明对真实患者的效果。",
    ),
    "notice.pseudo": (
        "{n} of {total} evaluated targets were made by another model, not drawn by a person: agreement with them is "
        "not correctness.",
        "{total} 个评估目标中有 {n} 个由其他模型生成而非人工标注：与其一致不代表正确。",
    ),
    "notice.missing": ("Missing from the run folder: {names}", "运行目录中缺少：{names}"),
    # findings
    "finding.scores-perfect": ("Perfect scores,", "得分全部为满分，"),
    "finding.scores-constant": ("Constant scores,", "得分全部相同，"),
    "finding.predictions-identical": ("Identical predictions,", "预测全部相同，"),
    "finding.prediction-is-target": ("Predictions equal to the targets,", "预测与标注完全一致，"),
    "finding.nothing-found": ("Nothing found,", "未分割出任何目标，"),
    "finding.predictions-missing": ("Missing predictions,", "缺少预测，"),
    "finding.patients-trained-on": ("Patients trained on,", "评估患者参与过训练，"),
    "finding.evaluated-on-train": ("Evaluated on the training split,", "在训练集上评估，"),
    "finding.no-patient-ids": ("No patient ids,", "没有患者编号，"),
    "finding.one-patient": ("One patient,", "只有一名患者，"),
    # results
    "results.title": ("Evaluation", "评估结果"),
    "results.none": (
        "Not evaluated. Run `angiova eval` to measure this model on held-out patients.",
        "未评估。请运行 `angiova eval`，在留出患者上测量该模型。",
    ),
    "results.how": (
        "Frames are averaged within a run, runs within a patient; the interval is Student's t over patients, because "
        "frames of one patient resemble each other. A missed or false target scores 0 in every metric; one that is "
        "rightly left empty is counted and enters no mean.",
        "先在每次造影内对帧取平均，再在患者内对各次造影取平均；由于同一患者的帧相似，"
        "置信区间按患者用 Student t 分布计算。漏检或误检的目标所有指标记 0；正确判为不存在的目标只计数，不进入均值。",
    ),
    "results.kind": (
        "{kind}: {scored} of {targets} targets in the means; {missed} missed, {false} false, {absent} rightly empty, "
        "{unanswered} without any answer.",
        "{kind}：{targets} 个目标中 {scored} 个进入均值；漏检 {missed}，误检 {false}，正确为空 {absent}，"
        "无回答 {unanswered}。",
    ),
    "results.metric": ("Metric", "指标"),
    "results.patient": ("Patients: mean ± sd", "患者层面：均值 ± 标准差"),
    "results.interval": ("95 % interval", "95% 置信区间"),
    "results.n": ("n", "n"),
    "results.frame": ("Frames: mean ± sd", "帧层面：均值 ± 标准差"),
    "segments.title": ("Named segments (SYNTAX)", "命名节段（SYNTAX）"),
    "segments.number": ("Segment", "节段"),
    "segments.targets": ("Targets", "目标数"),
    "segments.missed": ("Missed", "漏检"),
    "segments.false": ("False", "误检"),
    "segments.absent": ("Absent", "为空"),
    "segments.dice_patient": ("Dice, patients", "Dice（患者）"),
    "segments.dice_frame": ("Dice, frames", "Dice（帧）"),
    "segments.cldice": ("clDice, frames", "clDice（帧）"),
    "segments.chance": ("Chance", "随机水平"),
    "segments.caption": (
        "Dice of each named segment. Chance: Dice with the masks predicted for the other segments of the same frame.",
        "各命名节段的 Dice。随机水平：用同一帧其他节段的预测掩膜计算的 Dice。",
    ),
    "segments.challenge": (
        "ARCADE's figure (F1 averaged over the segments of an image, then over images): {value} over {n} images. Here "
        "the model was asked for the labelled segments only, so this is an upper bound of the challenge's figure.",
        "ARCADE 挑战赛指标（先对一幅图像内各节段的 F1 取平均，再对图像取平均）：{value}（{n} 幅图像）。"
        "此处只要求模型分割已标注的节段，因此它是挑战赛指标的上限。",
    ),
    "segments.bars": (
        "Mean Dice of each segment over frames, one standard deviation, and the chance level (diamond).",
        "各节段帧平均 Dice、一个标准差以及随机水平（菱形）。",
    ),
    "segments.axis": ("Dice", "Dice"),
    "segments.chance_label": ("chance level", "随机水平"),
    "phrases.caption": ("By phrase asked", "按提示语"),
    "phrases.phrase": ("Phrase", "提示语"),
    "histograms.title": ("Distributions", "分布"),
    "histograms.caption": (
        "Distribution of each metric over targets of kind {kind}; the dashed line is the mean over targets.",
        "{kind} 各目标的指标分布；虚线为目标均值。",
    ),
    "histograms.axis": ("targets", "目标数"),
    "pictures.title": ("Comparison pictures", "对比图"),
    "pictures.how": (
        "Best, median and worst by Dice, and two at random with a fixed seed: nobody chose them. From left to right: "
        "image, truth, prediction, agreement (blue: both; yellow: missed; red-orange: false).",
        "按 Dice 选出的最佳、中位、最差各一例，另按固定种子随机选两例，均非人为挑选。从左到右：原图、标注、预测、"
        "一致性（蓝：一致；黄：漏检；橙红：误检）。",
    ),
    "picture.best": ("Best", "最佳"),
    "picture.median": ("Median", "中位"),
    "picture.worst": ("Worst", "最差"),
    "picture.random": ("Random", "随机"),
    "picture.caption": (
        "{role}: {frame}, {phrase}. Dice {dice}, clDice {cldice}",
        "{role}：{frame}，{phrase}。Dice {dice}，clDice {cldice}",
    ),
    # losses
    "losses.title": ("Losses", "损失"),
    "losses.none": ("No losses were recorded.", "没有记录损失。"),
    "losses.name": ("Loss", "损失项"),
    "losses.weight": ("Weight", "权重"),
    "losses.first": ("First", "初始"),
    "losses.last": ("Last", "最终"),
    "losses.drop": ("Drop", "下降"),
    "losses.total": ("total (weighted sum)", "总和（加权）"),
    "losses.caption": (
        "Mean over the first and over the last logged steps, and how far it fell.",
        "最初与最后若干记录步的均值及下降幅度。",
    ),
    "losses.figure": (
        "Each loss over optimizer steps, with its first and last logged value.",
        "各损失随优化步的变化，标注首末记录值。",
    ),
    "losses.total_curve": ("total", "总损失"),
    "lr.figure": ("Learning rate.", "学习率。"),
    "lr.title": ("learning rate", "学习率"),
    "validation.figure": ("Validation during training.", "训练中的验证。"),
    "axis.steps": ("optimizer steps", "优化步"),
    # model
    "model.title": ("Parameters", "参数"),
    "model.part": ("Part", "部分"),
    "model.total": ("Total", "总数"),
    "model.trainable": ("Trained", "训练"),
    "model.share": ("Share trained", "训练占比"),
    "model.bytes": ("Size", "大小"),
    "model.whole": ("whole model", "整个模型"),
    "model.caption": (
        "Counted over the whole model, never over one shard of it.",
        "按整个模型统计，而不是某一个分片。",
    ),
    # data
    "data.title": ("Data", "数据"),
    "data.split": ("Split", "划分"),
    "data.frames": ("Frames", "帧"),
    "data.patients": ("Patients", "患者"),
    "data.targets": ("Targets", "目标"),
    "data.ids": ("SHA-256 of frame ids", "帧编号 SHA-256"),
    "data.caption": ("Trained on {folder}, manifest SHA-256 {sha256}", "训练数据 {folder}，清单 SHA-256 {sha256}"),
    "data.evaluated": (
        "Evaluated on {folder}, manifest SHA-256 {sha256}: {same}.",
        "评估数据 {folder}，清单 SHA-256 {sha256}：{same}。",
    ),
    "data.same": ("the same data set", "同一数据集"),
    "data.other": ("another data set, or another version of it", "另一数据集或另一版本"),
    # cost
    "cost.title": ("Time and memory", "时间与内存"),
    "cost.what": ("Quantity", "项目"),
    "cost.value": ("Measured", "测量值"),
    "cost.seconds": ("seconds: {name}", "用时：{name}"),
    "cost.rss": ("peak memory of the process", "进程内存峰值"),
    "cost.device": ("peak memory of device {n}", "设备 {n} 显存峰值"),
    "cost.started": ("started", "开始"),
    "cost.finished": ("finished", "结束"),
    "cost.samples": ("samples seen", "已见样本"),
    "cost.micro": ("micro-steps", "微步"),
    "cost.optimizer": ("optimizer steps", "优化步"),
    "cost.planned": ("optimizer steps planned", "计划优化步"),
    "cost.units": (
        "Samples seen are counted over all devices. A micro-step is one forward and backward pass on one device. An "
        "optimizer step ends an accumulation and changes the weights. Here: {samples} samples in {micro} micro-steps "
        "and {steps} optimizer steps, which is {ratio} samples an optimizer step.",
        "已见样本按所有设备合计。一个微步是一个设备上的一次前向与反向传播。一个优化步结束一次梯度累积并更新权重。"
        "此处：{samples} 个样本，{micro} 个微步，{steps} 个优化步，即每个优化步 {ratio} 个样本。",
    ),
    # checkpoints
    "checkpoints.title": ("Checkpoints", "检查点"),
    "checkpoints.none": ("No checkpoint was recorded.", "没有记录检查点。"),
    "checkpoints.path": ("Path", "路径"),
    "checkpoints.role": ("Role", "用途"),
    "checkpoints.step": ("Optimizer step", "优化步"),
    "checkpoints.size": ("Size", "大小"),
    "checkpoints.bytes": ("Bytes", "字节"),
    "checkpoints.sha256": ("SHA-256", "SHA-256"),
    "checkpoints.validation": ("Validation", "验证"),
    # configuration
    "configuration.title": ("Configuration", "配置"),
    "configuration.field": ("Field", "字段"),
    "configuration.value": ("Value", "值"),
    "configuration.recipe": ("Recipe, every default written out", "配方（含全部默认值）"),
    "configuration.run": ("How it was run", "运行方式"),
    "configuration.command": ("command", "命令"),
    "configuration.commit": ("code commit", "代码提交"),
    "configuration.seed": ("seed", "随机种子"),
    "configuration.status": ("status", "状态"),
    "configuration.version": ("angiova", "angiova"),
    "messages.title": ("Messages of the run", "运行消息"),
    "messages.none": ("The run left no messages.", "运行没有留下消息。"),
    "messages.text": ("Message", "消息"),
    # definitions
    "definitions.title": ("Definitions", "定义"),
    "definitions.name": ("Name", "名称"),
    "definitions.text": ("Definition", "定义"),
    "kind.vessel_tree": ("vessel tree", "血管树"),
    "kind.segment": ("named segments", "命名节段"),
    "kind.stenosis": ("stenosis", "狭窄"),
    "kind.catheter": ("catheter", "导管"),
    "kind.other": ("other", "其他"),
}


class Words:
    """The sentences of one language.

    Args:
        language: one of LANGUAGES.

    Raises:
        ConfigError: the language is not one of them.
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ConfigError(f"no report in {language!r}", where="--language", remedy="choose en or zh")
        self.language = language
        self._index = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of `key` with its values filled in."""
        return WORDS[key][self._index].format(**values)

    def optional(self, key: str) -> str:
        """Return the sentence of `key`, or nothing where there is none (a finding of a later version)."""
        return WORDS[key][self._index] if key in WORDS else ""
