"""Names of models and metrics in both languages, and how texts are joined."""

from __future__ import annotations

from collections.abc import Sequence

from propense.words import Text, format_text, has_text


def model_name(model: str) -> Text:
    """A model in words; an unknown one by its own name.

    >>> model_name("ease").en, model_name("my_model").zh
    ('EASE', 'my_model')
    """
    key = f"model.{model}"
    return format_text(key) if has_text(key) else both(model)


def metric_name(metric: str) -> Text:
    """A metric in words; `_at_k` becomes @k.

    >>> metric_name("ndcg_at_10").en
    'nDCG@10'
    """
    family, at, k = metric.partition("_at_")
    if at and has_text(f"metric.{family}_at_k"):
        return format_text(f"metric.{family}_at_k", k=k)
    key = f"metric.{metric}"
    return format_text(key) if has_text(key) else both(metric)


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


def join_names(names: Sequence[Text]) -> Text:
    """An enumeration within a sentence; Chinese is spaced where a name is not Chinese.

    >>> join_names([both("pay"), both("churn"), Text("the items", "物品推荐")])
    Text(en='pay, churn and the items', zh=' pay、churn、物品推荐')
    """
    en, zh = [name.en for name in names], "、".join(name.zh for name in names)
    before, after = (" " if end.isascii() else "" for end in (zh[:1], zh[-1:]))
    return Text(
        " and ".join([", ".join(en[:-1]), en[-1]] if en[1:] else en), f"{before}{zh}{after}"
    )
