"""Sentences about training and the run, English beside Chinese."""

from __future__ import annotations

from typing import Final

RUN_WORDS: Final[dict[str, tuple[str, str]]] = {
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
    "lr.figure": ("Learning rate, and norm of the gradient before clipping.", "学习率，以及裁剪前的梯度范数。"),
    "norm.title": ("gradient norm", "梯度范数"),
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
}
