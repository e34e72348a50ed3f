"""Every text of the report in English and Chinese, once.

`say(key)` gives both; unknown model and metric names stay as they are written.
"""

from __future__ import annotations

from typing import Final

from propense.evaluation.records import Text

_MODELS: Final = {
    "network": ("customer network", "客户网络"),
    "average": ("average of network and rival", "网络与对手的平均"),
    "rivals": ("average of the two best rivals", "最佳两个对手的平均"),
    "majority": ("base rate alone", "仅基准率"),
    "logistic": ("logistic regression", "逻辑回归"),
    "tree": ("decision tree", "决策树"),
    "svm": ("support vector machine", "支持向量机"),
    "mlp": ("multi-layer perceptron", "多层感知机"),
    "lightgbm": ("gradient boosting", "梯度提升树"),
    "lightgbm_raw": ("gradient boosting, raw columns", "梯度提升树（原始列）"),
    "mean": ("overall mean", "总体均值"),
    "linear": ("linear regression", "线性回归"),
    "popularity": ("popularity", "热门榜"),
    "markov": ("Markov chain", "马尔可夫链"),
    "item_knn": ("item nearest neighbours", "物品近邻"),
    "ease": ("EASE", "EASE"),
    "frequency": ("own frequency", "个人频次"),
}

_METRICS: Final = {
    "auc": ("AUC", "AUC"),
    "log_loss": ("Log loss", "对数损失"),
    "average_precision": ("Average precision", "平均精确率"),
    "average_precision_minority": ("Average precision, minority class", "平均精确率（少数类）"),
    "brier": ("Brier score", "Brier 分数"),
    "ece_equal_mass": ("Calibration error (ECE, equal mass)", "校准误差（ECE，等量分箱）"),
    "base_rate": ("Base rate", "基准率"),
    "mean_p": ("Mean prediction", "平均预测"),
    "accuracy": ("Accuracy", "准确率"),
    "precision": ("Precision", "精确率"),
    "recall": ("Recall", "召回率"),
    "f1": ("F1", "F1"),
    "specificity": ("Specificity", "特异度"),
    "net_value": ("Net value a customer", "每客户净收益"),
    "lift_top_1": ("Lift, top 1 %", "提升度（前 1 %）"),
    "lift_top_5": ("Lift, top 5 %", "提升度（前 5 %）"),
    "lift_top_10": ("Lift, top 10 %", "提升度（前 10 %）"),
    "lift_top_20": ("Lift, top 20 %", "提升度（前 20 %）"),
    "tweedie_deviance": ("Deviance (Tweedie 1.5)", "偏差（Tweedie 1.5）"),
    "gini_normalised": ("Normalised Gini", "归一化基尼系数"),
    "skill": ("Skill", "技能分"),
    "spearman": ("Spearman correlation", "斯皮尔曼相关"),
    "mae": ("Mean absolute error", "平均绝对误差"),
    "rmse": ("Root mean squared error", "均方根误差"),
    "total_ratio": ("Expected over actual total", "预期总额 / 实际总额"),
    "mean_value": ("Mean outcome", "平均结果"),
}

_RANKED: Final = {
    "recall": ("Recall@{k}", "召回率@{k}"),
    "ndcg": ("nDCG@{k}", "nDCG@{k}"),
    "mrr": ("MRR@{k}", "MRR@{k}"),
    "hit": ("Hit rate@{k}", "命中率@{k}"),
    "coverage": ("Coverage@{k}", "覆盖率@{k}"),
    "novelty": ("Novelty@{k}, bits", "新颖度@{k}（比特）"),
}

_WORDS: Final = {
    # header and navigation
    "report": Text("Report", "报告"),
    "theme": Text("Theme", "主题"),
    "contents": Text("Contents", "目录"),
    "data": Text("Data", "数据"),
    "parts": Text("Parts", "划分"),
    "learning": Text("Learning", "学习过程"),
    "ranking": Text("What to show next", "下一步展示什么"),
    "examples": Text("Examples", "示例"),
    "rivals": Text("Rivals", "对手模型"),
    "truth": Text("Against the truth", "与真相对照"),
    "measured": Text("How it was measured", "测量方法"),
    "warnings": Text("Read with care", "请谨慎解读"),
    # outcomes
    "better": Text("network better", "网络更好"),
    "together": Text("better together", "合用更好"),
    "level": Text("level", "持平"),
    "worse": Text("network worse", "网络更差"),
    "no_verdict": Text("too few for a verdict", "样本太少，不下结论"),
    "no_rival": Text("no rival fitted", "没有对手模型"),
    "champion": Text("Champion", "冠军模型"),
    "base_rate_of": Text("base rate {rate}", "基准率 {rate}"),
    "items_in_catalogue": Text("{items} items in the catalogue", "共 {items} 个物品"),
    # data
    "table": Text("Table", "表"),
    "rows_in": Text("rows in", "读入行"),
    "rows_kept": Text("kept", "保留"),
    "rows_dropped": Text("dropped", "剔除"),
    "rows_mended": Text("mended", "修正"),
    "balances": Text("Every row is accounted for.", "每一行都有去向。"),
    "unbalanced": Text(
        "Rows do not balance: {n_in} in, {n_out} kept, {dropped} dropped.",
        "行数不平衡：读入 {n_in}，保留 {n_out}，剔除 {dropped}。",
    ),
    "data_lead": Text(
        "Where every row went. Dropped rows are kept apart with the reason.",
        "每一行的去向。被剔除的行连同原因另行保存。",
    ),
    # parts
    "part": Text("Part", "部分"),
    "train": Text("train", "训练"),
    "validation": Text("validation", "验证"),
    "test": Text("test", "测试"),
    "events": Text("Events", "事件"),
    "users": Text("Customers", "客户"),
    "rows": Text("Rows", "行"),
    "positives_of": Text("Positives: {name}", "正例：{name}"),
    "parts_by_time": Text(
        "Divided by time: later parts may read earlier history, and no label window of a part "
        "reaches into the next.",
        "按时间划分：后面的部分可以读取更早的历史，任何标签窗口都不会伸入下一部分。",
    ),
    "parts_by_user": Text(
        "Divided by customer: nobody is in two parts.",
        "按客户划分：没有人同时属于两个部分。",
    ),
    "parts_by_group": Text(
        "Divided by group: no group is in two parts.",
        "按组划分：没有一组同时属于两个部分。",
    ),
    "parts_by_leave_one_out": Text(
        "Each customer's last event is test, the last but one validation.",
        "每位客户的最后一个事件用于测试，倒数第二个用于验证。",
    ),
    # learning
    "learning_lead": Text(
        "One epoch is one pass over the train part. The marked epoch is the network judged here.",
        "一轮即遍历一次训练集。标记的一轮就是此处评判的网络。",
    ),
    "train_loss": Text("Train loss", "训练损失"),
    "validation_of": Text("Validation: {name}", "验证：{name}"),
    "epoch": Text("Epoch", "轮次"),
    "best_epoch": Text(
        "{value} at epoch {epoch}, the one judged", "第 {epoch} 轮为 {value}，即所评判的一轮"
    ),
    # learning curve
    "learning_curve": Text(
        "Would more data or a deeper network help?", "更多数据或更深的网络会有帮助吗？"
    ),
    "curve_lead": Text(
        "The network again, on shares of the customers and at other sizes, judged on the same "
        "customers; numbers below the charts are its training time. Skill is 1 − loss / loss of "
        "the best constant answer: 0 knows nothing, 1 all. Lines are 95 % intervals of the "
        "difference from the network of this run (the large dot), from {resamples} paired "
        "resamples of test customers. Each point is one training: the chance in a training is "
        "not in the interval. To choose a size, look at validation.",
        "用部分客户、以其他大小重新训练网络，并在同一批客户上评判；图下数字为训练用时。"
        "技能分 = 1 − 损失 / 最佳常数答案的损失：0 为一无所知，1 为全知。"
        "竖线为与本次运行的网络（大圆点）之差的 95 % 区间，"
        "取自 {resamples} 次测试客户的配对重采样。"
        "每一点只训练一次：训练本身的偶然性不在区间内。选择大小请看验证集。",
    ),
    "more_data": Text("More data?", "更多数据？"),
    "deeper": Text("A deeper network?", "更深的网络？"),
    "share_axis": Text("share of train customers (log scale)", "训练客户占比（对数刻度）"),
    "size_axis": Text("size of the network", "网络大小"),
    "every_point": Text("Every point", "全部数据点"),
    "size": Text("Size", "大小"),
    "share": Text("Share", "占比"),
    "parameters": Text("Parameters", "参数"),
    "passes": Text("Passes", "轮数"),
    "training_time": Text("Training", "训练用时"),
    "a_pass": Text("{seconds} a pass", "每轮 {seconds}"),
    "best_of": Text("best: {best}", "最佳：{best}"),
    "on_validation": Text("validation {value}", "验证 {value}"),
    "cut_short": Text(
        "[train] max_minutes ended the training of: {points}.",
        "[train] max_minutes 提前结束了以下训练：{points}。",
    ),
    # goals
    "goal_counts": Text(
        "{rows} test rows of {users} customers, {positives} positive ({rate}).",
        "测试集 {rows} 行，{users} 位客户，其中正例 {positives}（{rate}）。",
    ),
    "value_counts": Text(
        "{rows} test rows of {users} customers, {positives} above zero; mean {rate}.",
        "测试集 {rows} 行，{users} 位客户，其中大于零 {positives}；均值 {rate}。",
    ),
    "against_lead": Text(
        "Dots are test values, lines their 95 % intervals, ★ is the champion. An arrow stands "
        "for a model off the scale.",
        "圆点为测试值，横线为 95 % 区间，★ 为冠军模型。箭头表示超出刻度。",
    ),
    "higher_better": Text("higher is better", "越高越好"),
    "lower_better": Text("lower is better", "越低越好"),
    "differences": Text("Paired differences, on the same customers", "同一批客户上的配对差值"),
    "difference": Text("Difference", "差值"),
    "reliability": Text("Does a probability mean what it says?", "概率是否名副其实？"),
    "reliability_value": Text("Does the expected amount arrive?", "预期金额是否实现？"),
    "said": Text("predicted", "预测"),
    "came": Text("observed", "实际"),
    "ideal": Text("ideal", "理想"),
    "gains": Text("How many are found by asking the best first?", "优先联系高分客户能找到多少？"),
    "gains_x": Text("share of customers asked, best first", "按得分由高到低联系的客户占比"),
    "gains_y": Text("share of positives found", "找到的正例占比"),
    "gains_y_value": Text("share of value found", "覆盖的金额占比"),
    "chance": Text("chance", "随机"),
    "histogram": Text("Scores of the champion", "冠军模型的得分分布"),
    "histogram_lead": Text(
        "Height on a logarithmic scale, so that the few are seen beside the many.",
        "纵轴为对数刻度，少数也能看清。",
    ),
    "positive": Text("positive", "正例"),
    "negative": Text("negative", "负例"),
    "above_zero": Text("above zero", "大于零"),
    "zero": Text("zero or less", "零或以下"),
    "confusion": Text("Decisions at the threshold", "阈值处的决策"),
    "threshold_f1": Text(
        "Yes from p ≥ {value}, the best F1 on validation.",
        "p ≥ {value} 判为是，取验证集上最佳 F1。",
    ),
    "threshold_value": Text(
        "Yes from p > {value} = cost {cost} / benefit {benefit}.",
        "p > {value} 判为是，即成本 {cost} / 收益 {benefit}。",
    ),
    "said_yes": Text("said yes", "判为是"),
    "said_no": Text("said no", "判为否"),
    "happened": Text("happened", "发生"),
    "did_not_happen": Text("did not", "未发生"),
    "all_metrics": Text("All metrics", "全部指标"),
    "model": Text("Model", "模型"),
    "threshold": Text("Threshold", "阈值"),
    "subgroups": Text("Subgroups", "子群体"),
    "subgroups_lead": Text(
        "The champion on each group of the columns named sensitive. Intervals that do not meet "
        "deserve a question.",
        "冠军模型在各敏感列分组上的表现。互不重叠的区间值得追问。",
    ),
    "group": Text("Group", "分组"),
    "too_few": Text("too few (under 50 rows)", "太少（不足 50 行）"),
    "missing_group": Text("missing", "缺失"),
    "other_groups": Text("{n} smaller groups", "其余 {n} 个小组"),
    # ranking
    "ranking_counts": Text(
        "{rows} test moments of {users} customers, every one against the full catalogue of "
        "{items} items.",
        "{users} 位客户的 {rows} 个测试时刻，每次都在全部 {items} 个物品上排序。",
    ),
    "examples_lead": Text(
        "Test customers: what they did, newest last, and what the champion would show. "
        "A mark shows what they did take next.",
        "测试客户：他们做过什么（最新在后），以及冠军模型会展示什么。标记为他们随后真正选择的。",
    ),
    "history": Text("History", "历史"),
    "recommended": Text("Recommended", "推荐"),
    "taken": Text("taken", "已选择"),
    "seconds_to_rank": Text("Seconds to rank", "排序用时（秒）"),
    # rivals, truth, measured
    "rivals_lead": Text(
        "Traditional machine learning on the same parts and the same encodings.",
        "在相同划分与相同编码上的传统机器学习。",
    ),
    "goal": Text("Goal", "目标"),
    "trials": Text("Trials", "试验次数"),
    "fitted_rows": Text("Rows fitted", "拟合行数"),
    "seconds": Text("Seconds", "秒"),
    "note": Text("Note", "备注"),
    "items_goal": Text("items", "物品"),
    "truth_lead": Text(
        "This data was made, so its true chances are known: no model can do better than the "
        "truth, beyond luck.",
        "这份数据是生成的，真实概率已知：除运气外，没有模型能胜过真相。",
    ),
    "stage": Text("Stage", "阶段"),
    "stage_seconds": Text("Time of each stage", "各阶段用时"),
    "settings": Text("Settings", "设置"),
    "none": Text("none", "无"),
    "how_intervals": Text(
        "Every interval is the middle 95 % of {resamples} bootstrap resamples in which whole "
        "customers are drawn, so rows of one customer stay together. Differences are taken "
        "within each resample. No correction is made for looking at many metrics at once.",
        "每个区间都是 {resamples} 次自助重采样的中间 95 %；按整个客户抽取，同一客户的行始终在一起。"
        "差值在每次重采样内计算。未对同时查看多个指标作校正。",
    ),
    "how_choice": Text(
        "Champions, thresholds and the best rival are chosen on validation; nothing is "
        "chosen on test. An interval that holds 0 is called level, which is not a "
        "proof that two models are equal.",
        "冠军模型、阈值和最佳对手均在验证集上选择；测试集上不作任何选择。"
        "包含 0 的区间称为持平，但这并不证明两个模型相同。",
    ),
    "how_goal": Text(
        "Log loss chooses and judges probabilities: it rewards both the right order and honest "
        "probabilities. AUC looks at order alone, ties count half. Average precision is of the "
        "rarer class, without interpolation. ECE has 15 bins of equal mass. Lift and gains count "
        "ties at the cut as drawn at random.",
        "概率以对数损失选择和评判：它同时奖励正确的排序和诚实的概率。AUC 只看排序，并列计一半。"
        "平均精确率针对少数类，不作插值。ECE 采用 15 个等量分箱。"
        "提升度与增益曲线在截断处对并列随机取。",
    ),
    "how_value": Text(
        "Amounts are chosen and judged by Tweedie deviance of power 1.5, lowest at the true mean "
        "and fit for many zeros and a long tail; the Gini compares the order with the perfect one.",
        "金额以幂为 1.5 的 Tweedie 偏差选择和评判：它在真实均值处最低，适合大量零值与长尾；"
        "基尼系数将排序与完美排序相比。",
    ),
    "how_ranking": Text(
        "Every test moment ranks the full catalogue, nothing is sampled. nDCG has binary gains "
        "and an ideal of min(k, relevant) items; recall divides by all relevant items. Coverage "
        "is the share of the catalogue shown to anyone; novelty is the mean of −log2 of an "
        "item's share of train events.",
        "每个测试时刻都对全部物品排序，没有抽样。nDCG 采用二元增益，理想值为 min(k, 相关数)；"
        "召回率除以全部相关物品数。覆盖率为展示过的物品占比；"
        "新颖度为物品在训练事件中占比的 −log2 均值。",
    ),
    "footer": Text(
        "This page is one file and asks nothing of the network.",
        "本页是单个文件，不访问网络。",
    ),
    "light": Text("Light", "浅色"),
    "dark": Text("Dark", "深色"),
    "auto": Text("Auto", "自动"),
}


def say(key: str, **values: str) -> Text:
    """Both texts of `key`, with `values` put in.

    >>> say("positives_of", name="pay").en
    'Positives: pay'
    """
    text = _WORDS[key]
    return Text(text.en.format(**values), text.zh.format(**values)) if values else text


def model_name(model: str) -> Text:
    """A model in words.

    >>> model_name("ease").en, model_name("my_model").zh
    ('EASE', 'my_model')
    """
    en, zh = _MODELS.get(model, (model, model))
    return Text(en, zh)


def metric_name(metric: str) -> Text:
    """A metric in words; `_at_k` becomes @k.

    >>> metric_name("ndcg_at_10").en
    'nDCG@10'
    """
    family, at, k = metric.partition("_at_")
    if at and family in _RANKED:
        en, zh = _RANKED[family]
        return Text(en.format(k=k), zh.format(k=k))
    en, zh = _METRICS.get(metric, (metric, metric))
    return Text(en, zh)


def inside(name: Text) -> Text:
    """A name within a sentence: small first letter where it is a plain word, Chinese spaced.

    >>> inside(metric_name("log_loss")).en, inside(metric_name("auc"))
    ('log loss', Text(en='AUC', zh=' AUC'))
    """
    en = name.en
    plain = en[1:2].islower() and not en.startswith(("Brier", "Spearman", "Markov"))
    zh = f" {name.zh}" if name.zh[:1].isascii() else name.zh
    return Text(en[0].lower() + en[1:] if plain else en, zh)


def both(text: str) -> Text:
    """A text that is the same in both languages, such as a name."""
    return Text(text, text)
