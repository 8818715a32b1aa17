"""Medians and bootstrap intervals of paired measurements."""

import random
import statistics

BOOTSTRAP_ROUNDS = 2000


def median(values):
    return statistics.median(values)


def interval(values, share=0.95, seed=1):
    """The bootstrap interval of the median; the same values give the same interval."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (float("nan"), float("nan"))
    chooser = random.Random(seed)
    medians = sorted(
        statistics.median(chooser.choices(values, k=len(values))) for _ in range(BOOTSTRAP_ROUNDS)
    )
    low = int((1 - share) / 2 * BOOTSTRAP_ROUNDS)
    return medians[low], medians[BOOTSTRAP_ROUNDS - 1 - low]


def ratios(ours, theirs):
    """Pair by pair, as they ran."""
    return [a / b for a, b in zip(ours, theirs) if b]


def at_least(values, bound):
    """Whether the ratio is at least `bound`: median and lower end of the interval, with the slack
    that noise needs."""
    return median(values) >= 0.97 * bound and interval(values)[0] >= 0.93 * bound


def at_most(values, bound):
    return median(values) <= bound / 0.97 and interval(values)[1] <= bound / 0.93


def median_at_most(values, bound):
    return median(values) <= bound


WAYS = {"at least": at_least, "at most": at_most, "median at most": median_at_most}
