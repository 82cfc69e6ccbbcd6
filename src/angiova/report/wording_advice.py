"""Sentences about strengths, limits and next steps, English beside Chinese; each prints the figures that made it."""

from __future__ import annotations

from typing import Final

ADVICE_WORDS: Final[dict[str, tuple[str, str]]] = {
    "judgement.title": ("Strengths and limits", "优势与局限"),
    "judgement.how": (
        "Each statement follows by a rule from recorded figures and prints them; where none speaks, nothing is said.",
        "每条陈述都由规则从记录的数字得出，并列出这些数字；没有数字支持的不作陈述。",
    ),
    "judgement.strengths": ("Strengths ({n})", "优势（{n}）"),
    "judgement.limits": ("Limits ({n})", "局限（{n}）"),
    "judgement.no_strengths": ("The figures show no strength.", "数字未显示任何优势。"),
    "judgement.no_limits": ("The figures show no limit.", "数字未显示任何局限。"),
    "next.title": ("What to do next", "下一步"),
    "next.none": ("No rule asks for anything.", "没有规则提出建议。"),
    # patients
    "next.evaluate": (
        "Evaluate: `angiova eval` measures this model on patients that were held back.",
        "进行评估：`angiova eval` 在留出患者上测量该模型。",
    ),
    "strength.unseen": (
        "None of the {n} evaluated patients ({frames} frames) has a frame in training.",
        "{n} 名评估患者（{frames} 帧）均无任何帧参与训练。",
    ),
    "limit.patients_unknown": (
        "Patients are unknown: no figure per patient, and frames of one patient may lie in training and test.",
        "患者身份未知：无法给出患者层面的数字，同一患者的帧可能同时在训练集和测试集。",
    ),
    "next.patient_ids": (
        "Import with patient ids (`--pattern`), split again, and train again.",
        "导入时给出患者编号（`--pattern`），重新划分并重新训练。",
    ),
    "limit.simulated": (
        "{n} of {total} evaluated targets are simulated; they say nothing about real patients.",
        "{total} 个评估目标中有 {n} 个为模拟数据，不能说明对真实患者的效果。",
    ),
    "next.real_patients": (
        "Evaluate on real patients: {n} of {total} targets here are simulated.",
        "在真实患者上评估：此处 {total} 个目标中有 {n} 个为模拟数据。",
    ),
    "strength.nothing_shared": (
        "The evaluated frames share no patient, no file and no near-duplicate with the {frames} frames trained on.",
        "评估帧与 {frames} 帧训练图像没有共有患者、相同文件或近似重复。",
    ),
    "limit.shared": (
        "Evaluated frames share {patients} patients, {files} files and {near} near-duplicates with those trained on.",
        "评估帧与训练帧共有患者 {patients} 名、相同文件 {files} 个、近似重复 {near} 帧。",
    ),
    "next.split_again": (
        "Take what is shared out of the test split ({patients} patients, {files} files, {near} near-duplicates) and "
        "evaluate again.",
        "从测试集中去除重合部分（患者 {patients} 名、文件 {files} 个、近似重复 {near} 帧）后重新评估。",
    ),
    # certainty
    "strength.narrow": (
        "The mean Dice is known to ± {half} from {n} patients (limit {limit}).",
        "{n} 名患者将平均 Dice 确定到 ± {half}（上限 {limit}）。",
    ),
    "limit.wide": (
        "The mean Dice is known only to ± {half} from {n} patients: a difference of {limit} cannot be seen.",
        "{n} 名患者只能将平均 Dice 确定到 ± {half}：无法看出 {limit} 的差别。",
    ),
    "next.more_patients": (
        "Evaluate on about {needed} patients: with {n} the interval is ± {half}, and it narrows with the root of their "
        "number (aim ± {limit}).",
        "在约 {needed} 名患者上评估：{n} 名患者时区间为 ± {half}，其宽度随人数的平方根缩小（目标 ± {limit}）。",
    ),
    # centreline
    "strength.followed": (
        "Centrelines are followed as well as areas are covered ({kind}): clDice {cldice}, Dice {dice}.",
        "中心线的跟随不逊于面积的覆盖（{kind}）：clDice {cldice}，Dice {dice}。",
    ),
    "limit.gaps": (
        "Vessels are interrupted or doubled ({kind}): clDice {cldice} lies below Dice {dice}.",
        "血管有中断或重影（{kind}）：clDice {cldice} 低于 Dice {dice}。",
    ),
    "next.close_gaps": (
        "Close gaps: clDice {cldice} against Dice {dice}. Raise `losses.dice` against `losses.mask`, and look at the "
        "worst pictures for where the gaps are.",
        "弥合中断：clDice {cldice}，Dice {dice}。相对 `losses.mask` 提高 `losses.dice`，并在最差图像中查看中断位置。",
    ),
    # balance
    "strength.balanced": (
        "Neither too much nor too little is called vessel ({kind}): precision {precision}, recall {recall} (they may "
        "differ by {limit}).",
        "血管面积既不过大也不过小（{kind}）：精确率 {precision}，召回率 {recall}（允许相差 {limit}）。",
    ),
    "limit.too_much": (
        "Too much is called vessel ({kind}): precision {precision}, recall {recall}.",
        "血管面积偏大（{kind}）：精确率 {precision}，召回率 {recall}。",
    ),
    "limit.too_little": (
        "Too little is called vessel ({kind}): precision {precision}, recall {recall}.",
        "血管面积偏小（{kind}）：精确率 {precision}，召回率 {recall}。",
    ),
    "next.raise_threshold": (
        "Try a higher `--threshold`, chosen on the validation split: recall {recall} exceeds precision {precision}.",
        "在验证集上选择更高的 `--threshold`：召回率 {recall} 高于精确率 {precision}。",
    ),
    "next.lower_threshold": (
        "Try a lower `--threshold`, chosen on the validation split: precision {precision} exceeds recall {recall}.",
        "在验证集上选择更低的 `--threshold`：精确率 {precision} 高于召回率 {recall}。",
    ),
    # thin vessels
    "strength.thin_found": (
        "Thin branches are found as well as thick ones: recall {thin} and {thick}.",
        "细分支与粗分支同样被找到：召回率 {thin} 与 {thick}。",
    ),
    "limit.thin_lost": (
        "Thin branches are lost: recall {thin}, against {thick} of thick ones.",
        "细分支丢失：召回率 {thin}，粗分支为 {thick}。",
    ),
    "next.sharper": (
        "Show thin vessels larger: recall of thin branches is {thin}, of thick ones {thick}. Raise "
        "`model.segmenter_px` where it can be chosen, train the refiner longer (`optimizer.lr_scale`), and "
        "label more thin branches.",
        "让细血管更清晰：细分支召回率 {thin}，粗分支 {thick}。可选时提高 `model.segmenter_px`，"
        "让 refiner 训练更充分（`optimizer.lr_scale`），并标注更多细分支。",
    ),
    "limit.pieces": (
        "Answers fall into other numbers of pieces than the targets ({kind}): {error} too many or too few on average.",
        "回答的连通块数与目标不同（{kind}）：平均相差 {error} 块。",
    ),
    "limit.uneven_phases": (
        "Contrast phases differ: Dice {low} in frames of phase {worst}, {high} in those of phase {best}.",
        "不同对比剂时相差别明显：{worst}时 Dice {low}，{best}时 {high}。",
    ),
    "next.more_phases": (
        "Label more frames of the contrast phase {worst} (Dice {low}, against {high} in phase {best}).",
        "增加“{worst}”时相帧的标注（Dice {low}，“{best}”为 {high}）。",
    ),
    "limit.uneven_views": (
        "Views differ: Dice {low} in {worst}, {high} in {best}.",
        "不同投照角度差别明显：{worst} Dice {low}，{best} {high}。",
    ),
    "next.more_views": (
        "Label more frames of the view {worst} (Dice {low}, against {high} in {best}).",
        "增加{worst}角度帧的标注（Dice {low}，{best}为 {high}）。",
    ),
    # missed
    "strength.none_missed": (
        "{kind}: none of {present} targets was missed.",
        "{kind}：{present} 个目标无一漏检。",
    ),
    "limit.missed": (
        "{kind}: {missed} of {targets} targets were missed entirely.",
        "{kind}：{targets} 个目标中有 {missed} 个完全漏检。",
    ),
    "next.raise_presence": (
        "{kind}: {missed} of {targets} missed. Raise `losses.presence` against `losses.absence`, or ask with the "
        "presence gate off.",
        "{kind}：{targets} 个中漏检 {missed} 个。相对 `losses.absence` 提高 `losses.presence`，或关闭存在门控后提问。",
    ),
    "limit.unusable": (
        "{kind}: mean Dice {dice}; even the upper end of its interval, {high}, is below {limit}. Not usable.",
        "{kind}：平均 Dice {dice}；其置信区间上限 {high} 仍低于 {limit}，不可用。",
    ),
    "next.learn_kind": (
        "{kind} is not learnt (mean Dice {dice}): give it more labelled frames and more passes, or leave it out of "
        "what is asked.",
        "{kind}未学会（平均 Dice {dice}）：增加标注帧与训练遍数，或不再提问该目标。",
    ),
    # names
    "strength.names_followed": (
        "The model follows the name it is asked for: margin over chance {margin}, 95 % interval {interval}.",
        "模型遵循所要求的名称：超出随机水平 {margin}，95% 置信区间 {interval}。",
    ),
    "limit.names_at_chance": (
        "Names are at chance: the margin is {margin}, 95 % interval {interval}. Any segment's mask fits any name.",
        "命名处于随机水平：差值 {margin}，95% 置信区间 {interval}。掩膜与名称无关。",
    ),
    "next.teach_names": (
        "Teach names longer: the margin over chance is {margin} {interval} after `data.repeats: {repeats}`. Raise "
        "it, start from a pretrained language model, or ask for the tree alone.",
        "延长命名训练：`data.repeats: {repeats}` 后超出随机水平 {margin} {interval}。提高该值，使用预训练语言模型，"
        "或只要求分割血管树。",
    ),
    # calibration
    "strength.calibrated": (
        "Probabilities of pixels are off by {ece} on average (limit {limit}).",
        "像素概率平均偏差 {ece}（上限 {limit}）。",
    ),
    "limit.uncalibrated": (
        "Probabilities of pixels are off by {ece} on average (limit {limit}): do not read them as probabilities.",
        "像素概率平均偏差 {ece}（上限 {limit}）：不能当作概率解读。",
    ),
    "next.choose_threshold": (
        "Choose `--threshold` on the validation split: probabilities are off by {ece}.",
        "在验证集上选择 `--threshold`：概率偏差为 {ece}。",
    ),
    # convergence
    "strength.converged": (
        "The loss had settled: level from step {first} to {last} ({change} fitted change).",
        "损失已稳定：第 {first} 至 {last} 步平稳（拟合变化 {change}）。",
    ),
    "limit.still_falling": (
        "The loss was still falling at the end: by {change} from step {first} to {last}.",
        "损失在结束时仍在下降：第 {first} 至 {last} 步下降 {change}。",
    ),
    "limit.rising": (
        "The loss was rising at the end: by {change} from step {first} to {last}.",
        "损失在结束时上升：第 {first} 至 {last} 步上升 {change}。",
    ),
    "next.train_longer": (
        "Train longer: the last phase (steps {first} to {last}) still brought the loss down by {change}. Raise "
        "`data.repeats`; the learning rate had come down to {rate}, so going on from here alone would move little.",
        "延长训练：最后阶段（第 {first} 至 {last} 步）损失仍下降 {change}。请提高 `data.repeats`；"
        "学习率已降至 {rate}，仅从此处继续训练收效甚微。",
    ),
    "next.lower_rate": (
        "Lower `optimizer.lr`: the loss rose by {change} from step {first} to {last}.",
        "降低 `optimizer.lr`：第 {first} 至 {last} 步损失上升 {change}。",
    ),
    "strength.steady": (
        "The total loss has no spike in {lines} logged lines.",
        "总损失在 {lines} 行记录中没有尖峰。",
    ),
    "limit.spikes": (
        "The total loss has {n} spikes in {lines} logged lines.",
        "总损失在 {lines} 行记录中有 {n} 个尖峰。",
    ),
    "limit.clipped": (
        "{share} of the logged steps were clipped at a gradient norm of {clip}: the limit, more than the learning "
        "rate, set the length of the steps.",
        "{share} 的记录步在梯度范数 {clip} 处被裁剪：步长主要由裁剪上限而非学习率决定。",
    ),
    # validation
    "next.validate_more": (
        "Validate more often: {n} looks cannot show whether training went on too long; {needed} can "
        "(`validation.times`).",
        "增加验证次数：{n} 次验证看不出是否训练过久，{needed} 次可以（`validation.times`）。",
    ),
    "limit.overfitted": (
        "Validation was best at step {best_step} ({best}) and worse at the end ({last}).",
        "验证在第 {best_step} 步最佳（{best}），结束时变差（{last}）。",
    ),
    "next.stop_earlier": (
        "Train shorter, or vary the frames more: validation fell from {best} at step {best_step} to {last} at step "
        "{last_step}.",
        "缩短训练或增强数据变化：验证从第 {best_step} 步的 {best} 降到第 {last_step} 步的 {last}。",
    ),
    "next.still_improving": (
        "Train longer: validation was still best at the last look ({last} at step {last_step}).",
        "延长训练：最后一次验证仍为最佳（第 {last_step} 步 {last}）。",
    ),
    # resources
    "next.larger_micro_batch": (
        "Raise `batch.micro`: device {n} used {share} of its memory at its peak.",
        "提高 `batch.micro`：设备 {n} 显存峰值仅占 {share}。",
    ),
    "limit.memory_tight": (
        "Device {n} came to {share} of its memory: a larger sample may not fit.",
        "设备 {n} 显存峰值达 {share}：更大的样本可能放不下。",
    ),
    "next.waiting": (
        "Make steps wait less: {share} of the training time lies between steps (data, validation, saving). Raise "
        "`data.workers`, or validate less often.",
        "减少等待：训练时间的 {share} 处于步与步之间（数据、验证、保存）。提高 `data.workers` 或减少验证。",
    ),
    "limit.warnings": (
        "{n} warnings were counted; the most frequent came {times} times: {text}",
        "共计 {n} 条警告；最多的一条出现 {times} 次：{text}",
    ),
}
