"""Sentences about the evaluation, English beside Chinese; `definition.*` in English are those of evaluation.json."""

from __future__ import annotations

from typing import Final

EVALUATION_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Training and evaluation report", "训练与评估报告"),
    "subtitle": (
        "Run {run} · {preset} · started {started} · angiova {version}",
        "运行 {run} · {preset} · 开始于 {started} · angiova {version}",
    ),
    "footer": (
        "Research use only; not a medical device. Every figure comes from run.json, metrics.jsonl, evaluation/ and "
        "questions/ of the run folder; nothing was added by hand.",
        "仅供科研使用，不是医疗器械。所有数字均来自运行目录中的 run.json、metrics.jsonl、evaluation/ 和 questions/，"
        "没有任何手工添加。",
    ),
    # headline
    "headline.model": (
        "Model: {preset}; {total} parameters, {trainable} of them trained ({share}).",
        "模型：{preset}；共 {total} 个参数，其中 {trainable} 个参与训练（{share}）。",
    ),
    "headline.uncounted": ("Model: {preset}; its parameters are not recorded.", "模型：{preset}；未记录其参数。"),
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
    "headline.result": (
        "{kind}: mean Dice {dice}, mean clDice {cldice}; {detail}.",
        "{kind}：平均 Dice {dice}，平均 clDice {cldice}；{detail}。",
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
    "headline.patients": (
        "means over {n} patients, 95 % interval of Dice {interval}",
        "{n} 名患者均值，Dice 的 95% 置信区间 {interval}",
    ),
    "card.patients_alone": ("mean over {n} patients, no interval", "{n} 名患者均值，无置信区间"),
    "card.frames": ("mean over {n} frames; no patient level", "{n} 帧均值；无患者层面结果"),
    "card.margin": ("Margin over chance, named segments", "命名节段超出随机水平"),
    "card.margin_detail": ("95 % interval {interval} over {n} {unit}", "95% 置信区间 {interval}（{n} {unit}）"),
    "card.untrusted": ("do not use: see the errors above", "不可使用：见上方错误"),
    "card.parameters": ("Parameters trained", "训练参数"),
    "card.parameters_detail": ("of {total} in the whole model", "整个模型共 {total}"),
    "card.time": ("Wall time", "总用时"),
    "card.time_detail": ("{steps} optimizer steps", "{steps} 个优化步"),
    "unit.patient": ("patients", "名患者"),
    "unit.frame": ("frames", "帧"),
    # notices
    "notice.audit": (
        "The run contradicts itself ({code}): {message}. {where}. {arithmetic}",
        "运行记录自相矛盾（{code}）：{message}。{where}。{arithmetic}",
    ),
    "notice.untrusted": ("These figures cannot be trusted.", "这些数字不可信。"),
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
    # the page itself
    "page.language": ("Language", "语言"),
    "page.contents": ("Contents", "目录"),
    "page.folded": ("show {n} rows", "展开 {n} 行"),
    "page.source": ("from", "来源"),
    "page.research": (
        "For research only. Not a medical device; not for diagnosis or treatment.",
        "仅供科研使用，不是医疗器械，不得用于诊断或治疗。",
    ),
    # findings
    "finding.scores-perfect": ("Perfect scores,", "得分全部为满分，"),
    "finding.scores-zero": ("Nothing right,", "没有一个正确，"),
    "finding.scores-constant": ("Constant scores,", "得分全部相同，"),
    "finding.predictions-identical": ("Identical predictions,", "预测全部相同，"),
    "finding.prediction-is-target": ("Predictions equal to the targets,", "预测与标注完全一致，"),
    "finding.nothing-found": ("Nothing found,", "未分割出任何目标，"),
    "finding.predictions-missing": ("Missing predictions,", "缺少预测，"),
    "finding.patients-trained-on": ("Patients trained on,", "评估患者参与过训练，"),
    "finding.phrases-not-asked": ("Not asked for everything,", "并未询问全部目标，"),
    "finding.trained-on-test": ("Trained on the test split,", "测试集参与过训练，"),
    "finding.training-data-unknown": ("Training data unknown,", "训练数据未知，"),
    "finding.prediction-is-other-target": ("Predictions equal to other targets,", "预测与其他图像的标注完全一致，"),
    "finding.metric-constant": ("A constant metric,", "某项指标恒定不变，"),
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
        "Frames are averaged within a run, runs within a patient; the interval is over patients, because frames of one "
        "patient resemble each other: Student's t below 30 patients, BCa bootstrap from 30. A missed or "
        "false target scores "
        "0 in every share, and the diagonal of the image in every distance; one that is rightly left "
        "empty is counted and "
        "enters no mean.",
        "先在每次造影内对帧取平均，再在患者内对各次造影取平均；由于同一患者的帧相似，"
        "置信区间按患者计算：少于 30 名患者用 Student t 分布，30 名及以上用 BCa 自助法。"
        "漏检或误检的目标各比例类指标记 0、各距离类指标记图像对角线；正确判为不存在的目标只计数，不进入均值。",
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
    "compared.title": ("Compared with other models", "与其他模型比较"),
    "compared.patient": (
        "Models on the same frames of the {split} split, paired by patient. p is of a permutation test; judge by the "
        "column Holm, which corrects it for all {tests} tests here.",
        "各模型在 {split} 集相同图像上按患者配对比较。p 来自置换检验；"
        "请以 Holm 列为准，它已按全部 {tests} 次检验校正。",
    ),
    "compared.frame": (
        "Models on the same frames of the {split} split, paired by frame, on the user's statement that frames are "
        "independent. p is of a permutation test; judge by the column Holm, which corrects it for all {tests} tests.",
        "各模型在 {split} 集相同图像上按帧配对比较，依据用户关于各帧独立的声明。p 来自置换检验；"
        "请以 Holm 列为准，它已按全部 {tests} 次检验校正。",
    ),
    "compared.phrases": (
        "Compared on what every model can be asked for: {phrases}.",
        "仅比较所有模型都能回答的提示语：{phrases}。",
    ),
    "compared.stale": (
        "This comparison was made of another evaluation than the one in this report. Compare again.",
        "此比较所用的评估与本报告中的评估不是同一次。请重新比较。",
    ),
    "compared.untrusted": (
        "{model}: its evaluation says that its figures cannot be right.",
        "{model}：其评估表明数字不可信。",
    ),
    "compared.kind": ("Target", "目标类别"),
    "compared.metric": ("Metric", "指标"),
    "compared.model": ("Model", "模型"),
    "compared.pair": ("First - second", "前者 - 后者"),
    "compared.mean": ("Mean", "均值"),
    "compared.difference": ("Difference", "差值"),
    "compared.interval": ("95 % interval", "95% 置信区间"),
    "compared.p": ("p", "p"),
    "compared.holm": ("Holm", "Holm"),
    "compared.dz": ("dz", "dz"),
    "compared.needed": ("Needed for 0.01", "达到 0.01 所需"),
    "compared.means": (
        "Means over what every model was scored on. Needed for 0.01: how many would bring the interval to one point on "
        "each side.",
        "所有模型均有得分的单元的均值。达到 0.01 所需：使置信区间半宽为 0.01 所需的单元数。",
    ),
    "compared.pairs": (
        "The first model less the second. dz: the mean difference in standard deviations of the differences. Needed "
        "for 0.01: how many a paired test would need to see a difference of one point with power 0.8.",
        "前一模型减后一模型。dz：以差值标准差为单位的平均差。"
        "达到 0.01 所需：配对检验以 0.8 的功效发现 0.01 差异所需的单元数。",
    ),
    "histograms.title": ("Distributions", "分布"),
    "histograms.caption": (
        "Distribution of each metric over targets of kind {kind}; the dashed line is the mean over targets.",
        "{kind} 各目标的指标分布；虚线为目标均值。",
    ),
    "histograms.axis": ("targets", "目标数"),
    "pictures.title": ("Comparison pictures", "对比图"),
    "pictures.how": (
        "Best, median and worst by Dice, two at random with a fixed seed, and up to three failures, the worst of each "
        "kind of target first: nobody chose them. From left to right: image, truth, prediction, agreement (blue: both; "
        "yellow: missed; red-orange: false).",
        "按 Dice 选出的最佳、中位、最差各一例，另按固定种子随机选两例，"
        "再列最多三例失败（各类目标中最差者优先），均非人为挑选。"
        "从左到右：原图、标注、预测、"
        "一致性（蓝：一致；黄：漏检；橙红：误检）。",
    ),
    "picture.best": ("Best", "最佳"),
    "picture.median": ("Median", "中位"),
    "picture.worst": ("Worst", "最差"),
    "picture.random": ("Random", "随机"),
    "picture.failure": ("Failure", "失败"),
    "picture.caption": (
        "{role}: {frame}, {phrase}. Dice {dice}, clDice {cldice}",
        "{role}：{frame}，{phrase}。Dice {dice}，clDice {cldice}",
    ),
    "kind.vessel_tree": ("vessel tree", "血管树"),
    "kind.segment": ("named segments", "命名节段"),
    "kind.stenosis": ("stenosis", "狭窄"),
    "kind.catheter": ("catheter", "导管"),
    "kind.other": ("other", "其他"),
    "results.axis": ("mean over patients, 95 % interval", "患者均值与 95% 置信区间"),
    "results.chart": ("Metrics of {kind} with their intervals", "{kind}各指标及其置信区间"),
    "results.chart_caption": (
        "{kind}: mean of each metric over patients with its 95 % interval.",
        "{kind}：各指标的患者均值及 95% 置信区间。",
    ),
    "results.patients_n": ("{n} patients", "{n} 名患者"),
    "results.frames_only": ("over {n} frames", "{n} 帧"),
    "segments.chart": ("Dice of each named segment", "各命名节段的 Dice"),
    "groups.axis": ("Dice: mean over frames, one deviation", "Dice：帧均值与一个标准差"),
    "groups.patients.none": (
        "No figure per patient: some frame has no patient.",
        "没有患者层面的数字：部分帧没有患者编号。",
    ),
    "groups.patients.name": ("Patient", "患者"),
    "groups.patients.caption": ("By patient ({kind})", "按患者（{kind}）"),
    "groups.patients.chart": ("Dice of each patient ({kind})", "各患者的 Dice（{kind}）"),
    "groups.phases.none": (
        "Not divided by contrast phase: no run is labelled densely enough to tell the phase of its frames.",
        "未按对比剂时相划分：没有一个造影序列的标注密到可以判断各帧的时相。",
    ),
    "groups.phases.name": ("Contrast phase", "对比剂时相"),
    "groups.phases.caption": ("By phase of the contrast ({kind})", "按对比剂时相（{kind}）"),
    "groups.phases.chart": ("Dice of each contrast phase ({kind})", "各对比剂时相的 Dice（{kind}）"),
    "groups.views.none": (
        "Not divided by view: no frame states the angles of its C-arm.",
        "未按投照角度划分：没有帧给出 C 臂角度。",
    ),
    "groups.views.name": ("View", "投照角度"),
    "groups.views.caption": ("By position of the C-arm ({kind})", "按 C 臂位置（{kind}）"),
    "groups.views.chart": ("Dice of each view ({kind})", "各投照角度的 Dice（{kind}）"),
    "groups.phases.1 no contrast": ("no contrast", "无对比剂"),
    "groups.phases.2 filling": ("filling", "充盈中"),
    "groups.phases.3 full": ("full", "充盈"),
    "groups.phases.4 washout": ("washout", "排空"),
    "groups.views.AP": ("AP", "正位"),
    "groups.views.AP cranial": ("AP cranial", "正位头位"),
    "groups.views.AP caudal": ("AP caudal", "正位足位"),
    "groups.views.LAO": ("LAO", "左前斜"),
    "groups.views.LAO cranial": ("LAO cranial", "左前斜头位"),
    "groups.views.LAO caudal": ("LAO caudal", "左前斜足位"),
    "groups.views.RAO": ("RAO", "右前斜"),
    "groups.views.RAO cranial": ("RAO cranial", "右前斜头位"),
    "groups.views.RAO caudal": ("RAO caudal", "右前斜足位"),
    "calibres.caption": (
        "Branches of the targets by calibre. Found: at least half of the centreline is in the answer. "
        "Recall: share of the "
        "centreline found, over patients where they are known.",
        "按管径划分的目标分支。找到：至少一半中心线在回答内。召回率：中心线被找到的比例（已知患者时按患者平均）。",
    ),
    "calibres.kind": ("Kind", "类别"),
    "calibres.class": ("Calibre", "管径"),
    "calibres.branches": ("Branches", "分支"),
    "calibres.found": ("Found", "找到"),
    "calibres.share": ("Share", "占比"),
    "calibres.length": ("Centreline, px", "中心线（像素）"),
    "calibres.recall": ("Recall: mean ± sd", "召回率：均值 ± 标准差"),
    "calibres.interval": ("95 % interval", "95% 置信区间"),
    "calibre.thin": ("thin", "细"),
    "calibre.medium": ("medium", "中"),
    "calibre.thick": ("thick", "粗"),
    "calibration.none": (
        "Probabilities of pixels were not kept with the predictions, so their calibration is not known.",
        "预测未保存像素概率，因此其校准情况未知。",
    ),
    "calibration.chart": ("Reliability of the probabilities", "概率的可靠性"),
    "calibration.axis": ("probability stated", "给出的概率"),
    "calibration.measured": ("share of vessel found", "实际血管占比"),
    "calibration.perfect": ("as stated", "与所述一致"),
    "calibration.caption": (
        "Of the pixels to which the model gives a probability, how many are vessel. On the dashed line "
        "the probability can "
        "be taken at its word; below it the model is too sure.",
        "模型给出某一概率的像素中实际为血管的比例。落在虚线上说明概率可信；低于虚线说明模型过于自信。",
    ),
    "calibration.table": ("Expected calibration error", "期望校准误差"),
    "calibration.kind": ("Kind", "类别"),
    "calibration.ece": ("All pixels", "全部像素"),
    "calibration.ece_foreground": ("Probability 0.1 and more", "概率不低于 0.1"),
    "calibration.cases": ("Answers", "回答"),
    "calibration.without": ("Without probabilities", "无概率"),
    # failures
    "failures.count": (
        "{n} of {total} scored targets have a Dice below {limit}: more of the two masks is apart than in common.",
        "{total} 个计分目标中有 {n} 个 Dice 低于 {limit}：两个掩膜不重合的部分多于重合的部分。",
    ),
    "failures.caption": (
        "The {n} worst, at most one a phrase, with the reason that their pixels give.",
        "最差的 {n} 例（每个提示语最多一例），附由像素得出的原因。",
    ),
    "failures.frame": ("Frame", "帧"),
    "failures.phrase": ("Phrase", "提示语"),
    "failures.dice": ("Dice", "Dice"),
    "failures.precision": ("Precision", "精确率"),
    "failures.recall": ("Recall", "召回率"),
    "failures.reason": ("Reason", "原因"),
    "failure.missed": (
        "missed: it is there, and the answer is empty (probability of presence {presence})",
        "漏检：目标存在，但回答为空（存在概率 {presence}）",
    ),
    "failure.false": (
        "false: it is not there, and a mask was given (probability of presence {presence})",
        "误检：目标不存在，却给出了掩膜（存在概率 {presence}）",
    ),
    "failure.unanswered": ("no answer at all", "没有任何回答"),
    "failure.elsewhere": ("the mask lies elsewhere: no pixel in common", "掩膜位置错误：没有一个像素重合"),
    "failure.too_large": (
        "too large: {outside} of the mask lies outside the target, {missed} of the target is missed",
        "过大：掩膜的 {outside} 在目标之外，目标的 {missed} 被漏掉",
    ),
    "failure.too_small": (
        "too small: {missed} of the target is missed, {outside} of the mask lies outside",
        "过小：目标的 {missed} 被漏掉，掩膜的 {outside} 在目标之外",
    ),
    "failure.both": (
        "displaced: {outside} of the mask lies outside the target, and {missed} of the target is missed",
        "偏移：掩膜的 {outside} 在目标之外，目标的 {missed} 被漏掉",
    ),
    # definitions
    "definitions.title": ("Definitions", "定义"),
    "definitions.name": ("Name", "名称"),
    "definitions.text": ("Definition", "定义"),
    "definition.dice": ("", "2 TP / (2 TP + FP + FN)，按整幅图像像素统计；又称 F1"),
    "definition.iou": ("", "TP / (TP + FP + FN)，交并比"),
    "definition.precision": ("", "TP / (TP + FP)，精确率"),
    "definition.recall": ("", "TP / (TP + FN)，召回率"),
    "definition.specificity": ("", "TN / (TN + FP)，特异度"),
    "definition.accuracy": ("", "(TP + TN) / 全部像素，准确率"),
    "definition.cldice": ("", "两个硬骨架各自落在对方掩膜内比例的调和平均（Shit 等，CVPR 2021）"),
    "definition.nsd": (
        "",
        "归一化表面 Dice：两掩膜边界像素中距对方边界 2 像素以内者的比例（Nikolov 等，2021）；"
        "边界指 4 邻域内有背景或位于图像边缘的前景像素",
    ),
    "definition.nsd_mm": ("", "同 nsd，容差为 0.5 毫米；仅在像素间距已知时计算"),
    "definition.hd95_px": (
        "",
        "两个方向上边界像素到对方边界距离的 95 百分位（线性插值）中较大者；一方为空时取图像对角线",
    ),
    "definition.hd95_mm": ("", "同 hd95_px，单位毫米；仅在像素间距已知时计算"),
    "definition.assd_px": ("", "平均对称表面距离：两掩膜全部边界像素到对方边界距离的均值；一方为空时取图像对角线"),
    "definition.assd_mm": ("", "同 assd_px，单位毫米；仅在像素间距已知时计算"),
    "definition.b0_error": ("", "|预测的连通块数 - 标注的连通块数|，8 连通"),
    "definition.b1_error": ("", "|预测的孔洞数 - 标注的孔洞数|；孔洞为不与图像边缘相连的 4 连通背景"),
    "definition.recall_thin": ("", "细分支（管径小于 3 像素）的标注中心线被预测覆盖的比例；仅在标注含该类分支时计算"),
    "definition.recall_medium": ("", "中等分支（3 至 6 像素以下）的标注中心线被预测覆盖的比例"),
    "definition.recall_thick": ("", "粗分支（6 像素及以上）的标注中心线被预测覆盖的比例"),
    "definition.branches_found": ("", "至少一半中心线被预测覆盖的标注分支所占比例；分支位于端点或分叉点之间"),
    "definition.area_bias": ("", "（预测面积 - 标注面积）/ 标注面积"),
    "definition.calibre_bias_px": (
        "",
        "预测沿其位于标注内的中心线的平均管径，减去标注沿其位于预测内的中心线的平均管径",
    ),
    "definition.empty": (
        "",
        "标注与回答均为空：只计数，不进入均值；漏检、误检或无回答：各比例记 0，各距离记图像对角线，b0 与 b1 误差按实计",
    ),
    "definition.lacking": ("", "个例不可能具有的指标（无该类分支、像素间距未知）不进入均值；n 为具有该指标的帧数"),
    "definition.ece": ("", "期望校准误差：十个等宽区间内 |血管占比 - 平均概率| 按像素的均值（Guo 等，ICML 2017）"),
    "definition.ece_foreground": ("", "同上，仅计模型概率不低于 0.1 的像素"),
    "definition.frame": ("", "先对一帧内各目标取平均，再计算各帧的均值与样本标准差"),
    "definition.patient": (
        "",
        "先在每次造影内对帧取平均，再在患者内对造影取平均；患者间的均值、样本标准差和 95% 置信区间，"
        "不截断到 0..1：少于 30 名患者用 Student t，30 名及以上用 BCa 自助法",
    ),
    "definition.challenge_f1": ("", "每个被要求的命名节段的 Dice，先在图像内平均，再对图像平均"),
    "definition.chance": ("", "某命名节段的标注与同一帧其他节段回答之间的 Dice"),
}
