"""What any of it has to beat: TF-IDF and logistic regression, on the same training data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.example import Example
from models.evaluation.figures import Floats
from models.evaluation.guards import labels_of
from models.guard.calibration import balanced
from models.guard.samples import HEADS, UNKNOWN


def baseline(train: Sequence[Example], test: Sequence[Example]) -> dict[str, Floats]:
    """Return the baseline's probabilities of the test's texts, by head.

    Args:
        train: to fit on.
        test: to score.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=200_000)
    seen = words.fit_transform([one.text for one in train])
    unseen = words.transform([one.text for one in test])
    sources = np.array([one.source for one in train])
    found = {}
    for head in HEADS:
        labels = labels_of(train, head)
        known = labels != UNKNOWN
        weights = balanced(labels[known], sources[known])
        model = LogisticRegression(C=10, max_iter=300, random_state=0)
        model.fit(seen[known], labels[known], sample_weight=weights * len(weights))
        found[head] = model.predict_proba(unseen)[:, 1]
    return found
