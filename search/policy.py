"""Every tunable number of the search policy, each with its evidence.

"Decision" means an entry of docs/development/decisions.md. "A guess" means that there is no evidence yet.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

Cut = tuple[float, str]  # a channel pruning: the knobs ``ratio`` (share of channels) and ``spread`` (over layers)


@dataclasses.dataclass(frozen=True)
class HypervolumePolicy:
    """How the hypervolume compares files in one number."""

    # Size and latency have a log2 scale, down to 2**-5 = 1/32 of the baseline. A guess: no file was that small yet.
    octaves: float = 5.0
    # If no budget bounds the metric, a file with this accuracy drop adds nothing to the hypervolume. A guess.
    default_allowed_drop: float = 0.1
    # If the baseline lacks a cost, such as latency on an NPU, the reference is the first measured value times this.
    # Float files took 1.6, 2.2 and 3.3 times as long as int8 files of the same networks on a CPU.
    reference_factor: float = 2.0
    zero_limit_scale: float = 0.01  # A budget with limit 0 is scaled by this, in its own unit. A guess


@dataclasses.dataclass(frozen=True)
class PickPolicy:
    """How the best file is selected (``search/picks/best.py``)."""

    # The best file may be larger than the smallest one by this share, if its metric is better or it is faster (decision
    # 2026-11-20 on ``best``: 54.3 kB and 78 us are preferred to 53.3 kB and 88 us).
    same_size: float = 0.05
    # A file is worse if it is more than 0.1 points below the best metric (in [0, 1]), even within the confidence
    # interval: with few samples, intervals are wide. Decision 2026-11-26 (``best`` compares accuracy).
    same_metric: float = 0.001
    # The metric of the best file must be this many standard errors better than its limit:
    # safety + safety_growth * ln(files within the budgets). Simulations with 10 to 300 files (benchmarks/selection.py):
    # on new data 1 to 21 % of the picks break the limit, without this margin 4 to 81 %.
    safety: float = 0.3
    safety_growth: float = 0.2
    # In at least 95 % of pairs, two measurements of one file differ by less than this share (benchmarks/README.md).
    same_latency: float = 0.02


@dataclasses.dataclass(frozen=True)
class RecipePolicy:
    # After this many trials of recipes and allocations the later baselines follow: they need no training either. On a
    # CPU with slow int8, dynamic range was the fastest ResNet8, but came only after 70 s of training (2026-11-27).
    trials_before_later_baselines: int = 8
    # Published drops with int8: 0.7 points for DS-CNN-L (Speech Commands), 1.6 points for MobileNetV1 (ImageNet).
    sparsity: float = 0.5
    # Published drops of DS-CNN-L: 0.1 points with 32 clusters, 1 point with 8. 16 is in between (decision 2026-11-21).
    clusters: int = 16
    # Decision 2026-11-21: ResNet8 drops 1.36 points with all layers clustered, 0.42 with three sensitive ones skipped.
    unclustered_layers: int = 2
    # Drops of ResNet8 without training: 0.4 points with 4 bits; with two layers kept in int8, 1.2 points with 3 bits
    # and 4.5 points with 2 bits (benchmarks/reconstruction.md).
    reconstructed_bits: int = 4
    learning_rate: float = 1e-3  # A guess (the default of Adam)
    # Decision 2026-11-21 (channels are ranked): at 1e-2 refitted models lost their gain; 3e-3 is the best.
    channels_learning_rate: float = 3e-3
    # Decision 2026-11-20 on distillation: ResNet8 with 50 % sparsity has accuracy .850 with it, .827 to .842 without.
    distillation: float = 1.0
    int4_share: float = 0.5  # Share of layers with 4-bit weights in the mixed-precision recipe. A guess


@dataclasses.dataclass(frozen=True)
class ChannelPolicy:
    """The order in which recipes try channel prunings (``Cut``). The drop limits are in units of the allowed drop."""

    # Decision 2026-11-21 (int8 and channels come first): DS-CNN tolerates 75 % pruned channels, ResNet8 not even 50 %.
    # If a share is tolerated, half of the remaining channels is pruned too. If that is too much, the midpoint follows.
    first: Cut = (0.5, "even")
    more: Cut = (0.75, "even")
    most: Cut = (0.875, "even")
    between: Cut = (0.625, "even")
    # The same decision: if 50 % is too much, prune only the inner widths of residual blocks, then smaller shares.
    less: tuple[Cut, ...] = ((0.5, "inner"), (0.25, "inner"), (0.25, "even"), (0.125, "even"))
    # Without training, ordered by increasing drop. With "sensitivity" the share is one of the MACs; it is the better
    # spread up to 50 % of them. Decision 2026-11-27 (channels go where the outputs change least), three models.
    untrained: tuple[Cut, ...] = (
        *((share, "sensitivity") for share in (0.125, 0.25, 0.375, 0.5)),
        (0.5, "even"),
        (0.75, "even"),
    )
    # Tried first; the drop decides what is next. Three of four models (not ResNet8) drop at most 2 points, two at .375.
    first_untrained: Cut = (0.25, "sensitivity")
    # Up to this drop, more channels are pruned next. Decision 2026-11-21 again; the number itself is a guess.
    prune_more_below: float = 0.5
    # Up to this drop, the same pruning is first combined with QAT: on DS-CNN the drop fell from 2.2 to 1.3 points.
    recover_below: float = 1.5
    # Above this drop, smaller shares wait for all other recipes: on ResNet8 four smaller shares had used 270 of the
    # first 360 s without a result.
    postpone_above: float = 3.0

    @property
    def deepest_first(self) -> tuple[Cut, ...]:
        """All channel prunings with training, the largest share first."""
        return (self.most, self.more, self.between, self.first, *self.less)


@dataclasses.dataclass(frozen=True)
class DeploymentPolicy:
    """Further deployments of trained checkpoints."""

    int4_share: float = 0.25  # Share of layers with 4-bit weights in the planned mixed deployment. A guess


@dataclasses.dataclass(frozen=True)
class AllocationPolicy:
    """Target sizes of allocations, which choose the treatment of each layer for a given compressed size."""

    first_share: float = 0.15  # First target without a size budget: this share of the baseline's size. A guess
    # Targets are smaller than the budget by this share, since estimates may be wrong. A guess. First allocations were
    # 3.2 % (DS-CNN), 3.7 % (ResNet8) and 8.2 % (a CNN for digits) larger than estimated; the next ones learn from it.
    margin: float = 0.05
    near: float = 0.93  # An allocation with at least this share of the size budget counts as close to it. A guess
    step: float = 1.25  # Factor to the next smaller size (to the next larger one if no drop was allowed). A guess
    resolution: float = 1.08  # Between two sizes whose ratio is at most this, no further size is tried. A guess
    same_bytes: float = 1.005  # Target bytes are rounded down to a power of this, to solve (.1 s) less often. A guess


@dataclasses.dataclass(frozen=True)
class NeighborPolicy:
    """Random changes of candidates on the Pareto front."""

    tries: int = 30  # Attempts to find a new candidate. A guess
    crossover: float = 0.3  # Probability of taking the deployment from another member of the Pareto front. A guess
    more_changes: tuple[float, ...] = (0.4, 0.1)  # Probabilities of a second and of a third changed choice. A guess
    next_level: float = 0.7  # Probability that a changed ordered choice moves by exactly one level. A guess
    # The longest expected training of a neighbor, as a share of all seconds of trials. With .2 neighbors used 338 of
    # 2,023 s of a ResNet8 search without a gain. Without them six small models lost nothing (benchmarks/ablations.py).
    most_share_of_time: float = 0.04
    least_step_seconds: float = 0.1  # Trained pipeline steps that take less count as 0 s. A guess


@dataclasses.dataclass(frozen=True)
class OutcomePolicy:
    """Expected accuracy drop after a training: ``floor + share * drop before it``, in units of the allowed drop."""

    floor: float
    share: float


@dataclasses.dataclass(frozen=True)
class PromotionPolicy:
    """Which trials are trained for the first time or for longer."""

    # First trainings start from reconstructed weights. Ten searches of ResNet8, DS-CNN and a small separable network
    # (2026-11-26, 38 first trainings): drops of 0 and .25 grew to .6; drops of .4 to .8 shrank as often as not.
    first: OutcomePolicy = OutcomePolicy(0.4, 0.35)
    # Longer trainings of trained candidates left .73 of the drop (median of 42, half of them .6 to 1.2; same searches).
    longer: OutcomePolicy = OutcomePolicy(0.0, 0.7)
    spread: float = 0.4  # Assumed error of the expected drop, up and down, before the run has data. The same searches
    # Expectations use the errors of this many newest trainings, and three assumed errors. With 9, the assumed ones kept
    # 1/4 of the weight, however many trainings had failed. A guess
    newest_outcomes: int = 30
    first_trainings: int = 4  # The most first trainings of one reconstructed file, with different settings. A guess
    draws: int = 5  # Draws of Optuna to find a new first training. A guess
    # First trainings use the learning rate nearest to Optuna's choice. Search accuracy before -> after one epoch of
    # QAT from reconstructed weights at 1e-4, 3e-4, 1e-3, 3e-3 (2026-11-26, one seed, 1/32 of the rates for clusters):
    # ResNet8, 10,000 images: .7 zeros .8344 -> .8342, .8336, .8362, .8374; 16 clusters .8598 -> -, .8624, .8626, .8484.
    # DS-CNN: .7 zeros .9850 -> .9767, .9850, .9850, - (3 epochs -, .9867, .9900, -); 16 clusters .9917 -> .9900 each.
    first_rates: tuple[float, ...] = (3e-4, 1e-3)
    least_seconds: float = 1.0  # A promotion counts as at least this many seconds: a cached result is not free. A guess


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """When lost trials are proposed again."""

    # If this many trials wait for a target, no other trial begins, since waiting trials give no results.
    # Decision 2026-11-20 on targets that go away; the number is a guess.
    most_waiting: int = 8
    most_losses: int = 3  # A candidate that accidents of this machine lost this often is not proposed again. A guess


@dataclasses.dataclass(frozen=True)
class SamplerPolicy:
    tpe_startup_trials: int = 10  # Finished trials before TPE starts: Optuna's default
    # Optuna's draws for one proposal; the one with the best estimate is tried. A guess: a draw takes 5 ms of CPU; the
    # figures of decision 2026-11-26 (price of a byte and weight of each group) were measured with 16.
    draws: int = 8
    # Optuna gets this many of the newest trials, and the Pareto front. For speed only: with all of 1,000 trials a
    # proposal took .38 s of CPU, now .22 s.
    told_trials: int = 250
    random_draws: int = 32  # Random draws for one proposal besides Optuna's; each takes 0.1 ms. A guess
    # Layers are also treated in the newest files on the Pareto front that are trained or have pruned channels, at most
    # in this many. A guess: each needs as many estimates as the model itself.
    trained_bases: int = 4
    nsga2_population: int = 20  # A guess: most runs have too few trials for Optuna's default of 50


@dataclasses.dataclass(frozen=True)
class SchedulerPolicy:
    """How strategies share the time. Decision 2026-11-21 (strategies take turns) unless a line says otherwise."""

    # First only recipes and allocations propose, mostly without training; other strategies need their results. With 4,
    # the first training of ResNet8 and of DS-CNN came before cheaper files that were better (2026-11-26).
    first_trials: int = 8
    # A trial's weight falls to 1/e while its strategy uses ``memory`` (a share of the run's seconds), or, if longer,
    # ``memory_trials`` times the seconds of its newest trial (.7 per trial). Decision 2026-11-27 (equal seconds).
    memory: float = 0.1  # A guess
    memory_trials: float = 3.0
    least_weight: float = 0.01  # Trials with a smaller weight are ignored, for speed
    run_discount: float = 0.9  # Discount per trial for the gain per second of the whole run. A guess
    # A strategy without a turn for this many trials is next, if its last trial took at most 1/25 of the time since
    patience: int = 25
    least_seconds: float = 0.05  # A trial counts as at least this many seconds: a cached result is not free. A guess
    prior_trials: float = 2.0  # The prior has the weight of this many trials of average length. A guess
    # Prior gain per second, relative to the run's. Hypervolume per 1,000 s in eight searches (six DS-CNN, two ResNet8):
    # recipe .77, promotion .47, neighbor .01, variant .12, sampler .01. Later (2026-11-26, five searches, CPU clock):
    # allocation 2.1 (ResNet8), variant 2.2 and 6.5 (DS-CNN), sampler .58 (ResNet8), promotion .12 to .65.
    prior: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: MappingProxyType(
            {"recipe": 1.0, "allocation": 1.0, "promotion": 1.0, "neighbor": 0.1, "variant": 1.0, "sampler": 1.0}
        )
    )
    least_gain: float = 1e-12  # Keeps the order defined before any gain. Not worth tuning


@dataclasses.dataclass(frozen=True)
class GatePolicy:
    """When a gate stops a candidate before it is trained or scored."""

    untrained_samples: int = 512  # Samples on which an untrained copy is scored. A guess
    # Optuna is told at least this violation for a dominated candidate, even for a tie. Must be positive. A guess
    least_excess: float = 1e-3
    # Decision 2026-11-20 on a rung between trainings: later trainings may recover this much of the metric.
    rung_slack: float = 0.1
    # Decision 2026-11-20: a file over the latency budget is still scored if scoring takes at most this many seconds.
    cheap_scoring_seconds: float = 5.0


@dataclasses.dataclass(frozen=True)
class UpperBoundPolicy:
    """Upper bounds of a candidate before training. Decision 2026-11-21 (not trained when it cannot matter)."""

    # How much smaller a trained file may be than its untrained copy, as a share, until the run has data. Compressed
    # sizes of untrained copies are within 1 % on ResNet8; the rest is a guess.
    usual_margins: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: MappingProxyType({"file_bytes": 0.02, "compressed_bytes": 0.06})
    )
    # Two measurements of one structure may differ by this share. Median over fresh processes: 0.8 to 2.2 %.
    latency_margin: float = 0.03
    # After ``enough_errors`` trained files: ``caution`` times the largest error, but at least ``least_margin``.
    enough_errors: int = 5
    caution: float = 1.5
    least_margin: float = 0.005
    # Stop a candidate if this many with the same steps had higher accuracy before training and failed after it.
    failed_peers: int = 3


@dataclasses.dataclass(frozen=True)
class LoopPolicy:
    """When the search ends, and when it stops training or proposes at random."""

    repeats_before_random: int = 5  # After this many duplicates in a row, the sampler draws at random. A guess
    repeats_before_end: int = 60  # After this many duplicates in a row, the space counts as exhausted. A guess
    losses_before_end: int = 5  # After this many accidents in a row that lost trials, the search ends. A guess
    # Seconds of the longest pipeline, in units of plain training: prune 1.2, cluster 2, qat 2.5, recovering pruned
    # channels 2 (ResNet8, two cores).
    longest_pipeline: float = 7.7
    usual_step: float = 1.9  # Seconds of one trained pipeline step, in the same unit: the mean of these four
    training_start_seconds: float = 5.0  # Seconds to wrap and trace a model before training (ResNet8, two cores)
    finals_share: float = 0.08  # Share of the time budget that is reserved for the finals. A guess


@dataclasses.dataclass(frozen=True)
class AblationPolicy:
    """The ablation after the search: the best candidate is trained again without one of its steps."""

    untimed_seconds: float = 60.0  # Without a time budget, longer retrainings are skipped. A guess
    # Seconds of the longest step, in units of plain training: QAT that keeps clusters (ResNet8, two cores).
    longest_step: float = 3.0
    start_seconds: float = 8.0  # Seconds to wrap, trace and convert a model (ResNet8, two cores)


@dataclasses.dataclass(frozen=True)
class Policy:
    hypervolume: HypervolumePolicy = HypervolumePolicy()
    picks: PickPolicy = PickPolicy()
    recipes: RecipePolicy = RecipePolicy()
    channels: ChannelPolicy = ChannelPolicy()
    deployments: DeploymentPolicy = DeploymentPolicy()
    allocations: AllocationPolicy = AllocationPolicy()
    neighbors: NeighborPolicy = NeighborPolicy()
    promotions: PromotionPolicy = PromotionPolicy()
    retries: RetryPolicy = RetryPolicy()
    samplers: SamplerPolicy = SamplerPolicy()
    scheduler: SchedulerPolicy = SchedulerPolicy()
    gates: GatePolicy = GatePolicy()
    upper_bounds: UpperBoundPolicy = UpperBoundPolicy()
    loop: LoopPolicy = LoopPolicy()
    ablation: AblationPolicy = AblationPolicy()


POLICY = Policy()
