"""Every tunable number of the search policy, each with its evidence.

"Decision" means an entry of docs/development/decisions.md; for "a guess" there is no evidence yet.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

Cut = tuple[float, str]  # the share of channels that is pruned, and how it is spread over the layers


@dataclasses.dataclass(frozen=True)
class HypervolumePolicy:
    """How files are compared in one number."""

    # Size and latency count by halvings, down to 1/32 of the baseline. A guess, smaller than any file seen.
    octaves: float = 5.0
    # The accuracy drop at which a file is worth nothing where no budget bounds the metric. A guess.
    default_allowed_drop: float = 0.1
    # Times the first value that was measured: the reference of a cost that the baseline does not have, such as the time of a
    # float file on an NPU. Float files took 1.6, 2.2 and 3.3 times as long as int8 files of the same networks on a CPU.
    reference_factor: float = 2.0
    zero_limit_scale: float = 0.01  # The scale of a budget whose limit is 0, in its own unit. A guess


@dataclasses.dataclass(frozen=True)
class PickPolicy:
    """Which file is called the best (``search/picks/best.py``)."""

    # A file may be so much larger than the smallest one when its metric is better or it is faster (decision 2026-11-20 on the
    # best pick: 54.3 kB and 78 us is preferred to 53.3 kB and 88 us).
    same_size: float = 0.05
    # Files further below the best metric are worse, whatever the interval says: 0.1 points of a metric in [0, 1]. With few
    # samples intervals are wide. Decision 2026-11-26 on accuracy among near-equals.
    same_metric: float = 0.001
    # Standard errors that the metric of the best file must keep from its limit: safety + safety_growth * ln(files within the
    # budgets). Simulated with known truth, 10 to 300 files (benchmarks/selection.py): with it 1 to 21 % of the picks break the
    # limit on new data, without it 4 to 81 %.
    safety: float = 0.3
    safety_growth: float = 0.2
    # Two measurements of one file differ by less in at least 95 % of the pairs (benchmarks/README.md).
    same_latency: float = 0.02


@dataclasses.dataclass(frozen=True)
class RecipePolicy:
    # Recipes and allocations; then the later baselines follow, which need no training either. On a processor where int8 is hardly
    # faster than float32, dynamic range was the fastest file of a ResNet8, and came after 70 s of training (2026-11-27).
    trials_before_later_baselines: int = 8
    # Published with int8: DS-CNN-L (Speech Commands) loses 0.7 points, MobileNetV1 (ImageNet) 1.6.
    sparsity: float = 0.5
    # Published for DS-CNN-L: 32 clusters cost 0.1 points, 8 clusters 1. 16 is between (decision 2026-11-21 on clusters).
    clusters: int = 16
    # Decision 2026-11-21: with the two most sensitive layers left alone ResNet8 loses 0.42 points instead of 1.36.
    unclustered_layers: int = 2
    # Without training: ResNet8 loses 0.5 points with 4 bits, 0.5 with 3 and 4 with 2 (benchmarks/reconstruction.md).
    reconstructed_bits: int = 4
    learning_rate: float = 1e-3  # A guess (the default of Adam)
    # Decision 2026-11-21 (channels are ranked): refitted models lost what they had gained at 1e-2; 3e-3 stays the best.
    channels_learning_rate: float = 3e-3
    # Decision 2026-11-20 on distillation: ResNet8 pruned to 50 % has .850 with it and .827 to .842 without.
    distillation: float = 1.0
    int4_share: float = 0.5  # The share of layers with 4-bit weights in the recipe of mixed precision. A guess


@dataclasses.dataclass(frozen=True)
class ChannelPolicy:
    """Which shares of the channels recipes prune, one after the other. Unit of the limits: the allowed accuracy drop."""

    # Decision 2026-11-21 (int8 and channels come first): DS-CNN tolerates three quarters, ResNet8 not even a half. Upwards
    # the next is halfway to what is left; where that was too much, halfway back.
    first: Cut = (0.5, "even")
    more: Cut = (0.75, "even")
    most: Cut = (0.875, "even")
    between: Cut = (0.625, "even")
    # The same decision: where half was too much, the inner widths of residual blocks alone, then less.
    less: tuple[Cut, ...] = ((0.5, "inner"), (0.25, "inner"), (0.25, "even"), (0.125, "even"))
    # Without training, of increasing drop; shares of the MACs where sensitivity is measured, which pays up to half of them.
    # Decision 2026-11-27 (channels go where the outputs change least), three models.
    untrained: tuple[Cut, ...] = (
        *((share, "sensitivity") for share in (0.125, 0.25, 0.375, 0.5)),
        (0.5, "even"),
        (0.75, "even"),
    )
    # Tolerated by three models of four within 2 points (ResNet8 not), 0.375 by two; the first one tells which way to go.
    first_untrained: Cut = (0.25, "sensitivity")
    # Up to this drop more channels are pruned next. The same decision; the number itself is a guess.
    prune_more_below: float = 0.5
    # Up to this drop the same channels are first trained with quantization: on DS-CNN that took 2.2 points to 1.3.
    recover_below: float = 1.5
    # Above this drop pruning less waits until all other recipes were tried: on ResNet8 four lesser cuts had taken 270 of the
    # first 360 s in vain.
    postpone_above: float = 3.0

    @property
    def deepest_first(self) -> tuple[Cut, ...]:
        """All cuts, the largest share of channels first."""
        return (self.most, self.more, self.between, self.first, *self.less)


@dataclasses.dataclass(frozen=True)
class DeploymentPolicy:
    """Other deployments of checkpoints that are trained already."""

    int4_share: float = 0.25  # The share of layers with 4-bit weights in the planned mixed deployment. A guess


@dataclasses.dataclass(frozen=True)
class AllocationPolicy:
    """Sizes at which the treatments of layers are allocated."""

    first_share: float = 0.15  # Of the baseline's size, where no budget says one. A guess
    # That the estimated size may be wrong by. A guess that is too small for the first allocation, which was larger than estimated
    # by 3.2 % on DS-CNN, 3.7 % on ResNet8 and 8.2 % on a CNN of digits; the next ones learn from it.
    margin: float = 0.05
    near: float = 0.93  # An allocation above this share of the budget is at the budget. A guess
    step: float = 1.25  # To the next smaller size where the drop is allowed. A guess
    resolution: float = 1.08  # Sizes nearer to each other are not told apart. A guess
    same_bytes: float = 1.005  # Bytes of layers are rounded down to powers of this. A knapsack takes .1 s. A guess


@dataclasses.dataclass(frozen=True)
class NeighborPolicy:
    """Random changes of members of the Pareto front."""

    tries: int = 30  # Tries to find a new candidate. A guess
    crossover: float = 0.3  # How often the deployment comes from another member of the front. A guess
    more_changes: tuple[float, ...] = (0.4, 0.1)  # Chances of a second and of a third changed choice. A guess
    next_level: float = 0.7  # How often an ordered choice moves by one level only. A guess
    # Share of the seconds of all trials so far that one training may be expected to take. With .2 neighbors took 338 of the
    # 2,023 s of a search of ResNet8 and gained nothing; six small models lost nothing without them (benchmarks/ablations.py).
    most_share_of_time: float = 0.04
    least_step_seconds: float = 0.1  # Below so many seconds for a training step its cost is ignored. A guess


@dataclasses.dataclass(frozen=True)
class OutcomePolicy:
    """What a training leaves of a drop: ``floor + share * drop``, in units of the drop that is allowed."""

    floor: float
    share: float


@dataclasses.dataclass(frozen=True)
class PromotionPolicy:
    """Which trials are trained again for longer."""

    # Of first trainings, from reconstructed weights. Ten searches of ResNet8, DS-CNN and a small separable network (2026-11-26,
    # 38 first trainings): small drops grew (0 to .6, .25 to .6), and those of .4 to .8 shrank as often as not.
    first: OutcomePolicy = OutcomePolicy(0.4, 0.35)
    # Of longer trainings of the same kind: the median of 42 left .73 of the drop, half of them .6 to 1.2. The same searches.
    longer: OutcomePolicy = OutcomePolicy(0.0, 0.7)
    spread: float = 0.4  # Of what is left, either way, before a run has shown its own. From the same searches
    # Trainings of a run that say what the next ones leave, beside three that are expected before any. With 9 those three kept a
    # quarter of the say however many had failed. A guess
    newest_outcomes: int = 30
    first_trainings: int = 4  # Of one file that was solved for without training, in different ways. A guess
    draws: int = 5  # Tries of Optuna to find a first training that is new. A guess
    # Learning rates of first trainings; others that Optuna draws become the nearer one. One pass of QAT from reconstructed
    # weights, accuracy on search before -> at 1e-4, 3e-4, 1e-3, 3e-3 (2026-11-26, one seed; the clusters at 1/32 of each rate):
    # ResNet8, 10,000 images, 70 % pruned: .8344 -> .8342, .8336, .8362, .8374; 16 clusters: .8598 -> -, .8624, .8626, .8484.
    # DS-CNN, 70 % pruned: .9850 -> .9767, .9850, .9850, - (three passes: -, .9867, .9900, -); 16 clusters: .9917 -> .9900 at all.
    first_rates: tuple[float, ...] = (3e-4, 1e-3)
    least_seconds: float = 1.0  # The least seconds of a promotion: a cached trial is not free. A guess


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """What is asked again after a loss."""

    # Decision 2026-11-20 on targets that go away: nothing is learned from waiting candidates. The number is a guess.
    most_waiting: int = 8
    most_losses: int = 3  # Losses of one candidate by accidents of this machine; then it is left alone. A guess


@dataclasses.dataclass(frozen=True)
class SamplerPolicy:
    tpe_startup_trials: int = 10  # Finished trials before TPE starts: Optuna's default
    # Draws of Optuna for one proposal, of which the best estimate is tried. A draw takes 5 ms of CPU; a guess between that and
    # 16, with which the figures of decision 2026-11-26 (prices and weights) were measured.
    draws: int = 8
    # Optuna is told of so many of the newest trials, and of the front. For speed only: with all of 1,000 trials a proposal took
    # .38 s of CPU, now .22 s.
    told_trials: int = 250
    random_draws: int = 32  # The same without Optuna, which take 0.1 ms each. A guess
    # Files of the front that are trained or have fewer channels, whose layers are treated as well: the newest ones. A guess: each
    # costs as many estimates.
    trained_bases: int = 4
    nsga2_population: int = 20  # A guess; Optuna's default of 50 is more than most runs have trials for


@dataclasses.dataclass(frozen=True)
class SchedulerPolicy:
    """How the strategies share the time. Decision 2026-11-21 (strategies take turns) unless a line says otherwise."""

    # Trials of recipes and allocations alone, which need no training on most models: without them there is nothing to change or
    # to promote. With 4 the first training of ResNet8 and of DS-CNN came before cheaper files that bettered it (2026-11-26).
    first_trials: int = 8
    # How much less a trial counts when its strategy has spent so many seconds since, as a share of the run's: to 1/e. Decision
    # 2026-11-27 (equal seconds); the share itself is a guess. At least so many of its last trials count: as .7 of the next did.
    memory: float = 0.1
    memory_trials: float = 3.0
    least_weight: float = 0.01  # Trials that count less are ignored: for speed
    run_discount: float = 0.9  # The same discount for the gain per second of the whole run. A guess
    # After so many trials without a turn a strategy comes first, if its last one took at most 1/25 of the seconds since (same)
    patience: int = 25
    least_seconds: float = 0.05  # The least seconds of a trial: a cached answer is not free. A guess
    prior_trials: float = 2.0  # The prior counts as so many trials of average length. A guess
    # Prior gain per second, as a share of the run's. Eight searches (six of DS-CNN, two of ResNet8) gave, per 1,000 s and in
    # this order, .77, .47, .01, .12 and .01 of the hypervolume. Since then: allocations of ResNet8 gave 2.1, variants of DS-CNN
    # 2.2 and 6.5, draws of the sampler on ResNet8 .58, promotions .12 to .65 (2026-11-26, five searches on the CPU clock).
    prior: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: MappingProxyType(
            {"recipe": 1.0, "allocation": 1.0, "promotion": 1.0, "neighbor": 0.1, "variant": 1.0, "sampler": 1.0}
        )
    )
    least_gain: float = 1e-12  # Keeps the order defined while nothing has gained anything. Not tunable in effect


@dataclasses.dataclass(frozen=True)
class GatePolicy:
    """When a candidate is stopped before it is trained or scored."""

    untrained_samples: int = 512  # Samples that an untrained copy is scored on. A guess
    # The violation that is told to Optuna for a tie. Must be positive; no evidence yet: a guess.
    least_excess: float = 1e-3
    # Decision 2026-11-20 on a rung between trainings: a later training may recover so much of the metric.
    rung_slack: float = 0.1
    # Decision 2026-11-20: a file that breaks the latency budget is still scored when that takes no longer, in seconds.
    cheap_scoring_seconds: float = 5.0


@dataclasses.dataclass(frozen=True)
class UpperBoundPolicy:
    """How good a candidate may become that is not trained yet. Decision 2026-11-21 (not trained when it cannot matter)."""

    # How much smaller than its untrained copy a trained file may be before this run has shown it. Compressed sizes of copies
    # without training are within 1 % on ResNet8; more is a guess.
    usual_margins: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: MappingProxyType({"file_bytes": 0.02, "compressed_bytes": 0.06})
    )
    # Two measurements of one structure may differ by this share. Median over fresh processes: 0.8 to 2.2 %.
    latency_margin: float = 0.03
    # After so many trained files the margin is this factor times the largest error, and never less than the last number.
    enough_errors: int = 5
    caution: float = 1.5
    least_margin: float = 0.005
    # So many candidates of the same steps that were better untrained and failed stop the next one.
    failed_peers: int = 3


@dataclasses.dataclass(frozen=True)
class LoopPolicy:
    """When the loop ends or changes what it asks for."""

    repeats_before_random: int = 5  # Duplicates in a row; then proposals are random for once. A guess
    repeats_before_end: int = 60  # Duplicates in a row; then the space counts as exhausted. A guess
    losses_before_end: int = 5  # Accidents in a row that lost trials; then this machine does not let us work. A guess
    # Seconds of the longest pipeline in units of plain training: prune 1.2, cluster 2, qat 2.5, recovering a pruned model 2
    # (ResNet8, two cores).
    longest_pipeline: float = 7.7
    usual_step: float = 1.9  # Seconds of a training step in the same unit: the mean of these four
    training_start_seconds: float = 5.0  # Wrapping and tracing a training (ResNet8, two cores)
    finals_share: float = 0.08  # Share of the time budget that is kept for the finals. A guess


@dataclasses.dataclass(frozen=True)
class AblationPolicy:
    """Retraining the best file with one of its steps left out, after the search."""

    untimed_seconds: float = 60.0  # Of new training, where no time budget says how long. A guess
    # The longest step in units of plain training: quantization-aware training that keeps clusters (ResNet8, two cores).
    longest_step: float = 3.0
    start_seconds: float = 8.0  # Wrapping, tracing and converting (ResNet8, two cores)


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
