/// Training from labels.
public struct TrainStage: Sendable, Equatable, Codable {
  public var loss: PluginChoice
  public var training: TrainingOptions

  public init(
    loss: PluginChoice = TrainStage.labelLoss, training: TrainingOptions = TrainingOptions()
  ) {
    self.loss = loss
    self.training = training
  }

  /// The default loss with the labels alone: all the weight is on the labelled part.
  public static let labelLoss = PluginChoice(
    PluginChoice.defaultLoss, parameters: [.init(key: "alpha", values: ["1"], isList: false)])
}

/// Training against a recorded teacher.
public struct DistillStage: Sendable, Equatable, Codable {
  public enum Teacher: Sendable, Equatable, Codable {
    /// The network as it was before the first stage that compresses.
    case original
    case file(String)
  }

  public var teacher: Teacher
  public var loss: PluginChoice
  public var training: TrainingOptions
  /// Tensors inside of student and teacher that the loss compares.
  public var features: [FeaturePair] = []
  /// Trains as if the network was quantized by this plugin already; nil for none.
  public var quantizer: PluginChoice?

  public init(
    teacher: Teacher = .original, loss: PluginChoice = PluginChoice(PluginChoice.defaultLoss),
    training: TrainingOptions = TrainingOptions()
  ) {
    self.teacher = teacher
    self.loss = loss
    self.training = training
  }
}

/// How a network is trained; the same for `train` and `distill`.
public struct TrainingOptions: Sendable, Equatable, Codable {
  public enum OptimizerName: String, Sendable, CaseIterable, Codable { case sgd, adam, adamw }
  public enum Schedule: String, Sendable, CaseIterable, Codable { case constant, step, cosine }

  public var epochs = 4
  /// Stop after this many steps (batches), if the epochs have more; nil for all. The schedule ends
  /// there too.
  public var steps: Int?
  public var batchSize = 128
  public var optimizer = OptimizerName.sgd
  /// Nil for the optimizer's usual rate: 0.05 for SGD, 0.001 for Adam.
  public var learningRate: Double?
  /// For SGD.
  public var momentum = 0.9
  public var weightDecay = 0.0
  public var schedule = Schedule.cosine
  /// For `step`: the rate is multiplied by `stepFactor` after this many epochs, again and again.
  public var stepEpochs = 1
  public var stepFactor = 0.1
  /// For `cosine`: where the rate ends.
  public var finalLearningRate = 0.0
  /// The rate rises from 0 over this many steps (batches) first.
  public var warmupSteps = 0
  public var augmentation: AugmentationOptions?
  /// The output of the network that the loss looks at; nil for the first that is floating-point.
  public var networkOutput: String?

  public init() {}

  /// The rate in use.
  public var effectiveLearningRate: Double {
    learningRate ?? (optimizer == .sgd ? 0.05 : 0.001)
  }
}

/// Random changes of training images.
public struct AugmentationOptions: Sendable, Equatable, Codable {
  /// Up to this many pixels in each direction, filled with zeros.
  public var shift = 0
  /// Mirrors half of the images.
  public var flip = false
  /// With a recorded teacher: the number of changed versions of each image that it is asked about.
  public var views: Int?

  public init(shift: Int = 0, flip: Bool = false, views: Int? = nil) {
    self.shift = shift
    self.flip = flip
    self.views = views
  }
}

/// A tensor of the student and the one of the teacher that it is compared with.
public struct FeaturePair: Sendable, Equatable, Codable {
  public var student: String
  public var teacher: String

  public init(student: String, teacher: String) {
    self.student = student
    self.teacher = teacher
  }
}

/// Removing the least important elements, blocks or channels.
public struct PruneStage: Sendable, Equatable, Codable {
  public enum Granularity: String, Sendable, CaseIterable, Codable { case element, block, channel }
  public enum Scope: String, Sendable, CaseIterable, Codable { case global, layer }
  public enum GroupReduce: String, Sendable, CaseIterable, Codable { case mean, sum, max, first }

  public var scorer: PluginChoice
  public var granularity: Granularity
  /// Output channels and inputs of a block; nil unless blocks are pruned.
  public var block: [Int]?
  /// What stays of neighbours along the input axis, such as "2:4", in place of a ratio.
  public var pattern: String?
  /// The fraction to remove, above 0 and below 1; not used with a pattern.
  public var ratio: Double
  /// Nil for the usual one: elements are ranked over all layers, channels within their layer.
  public var scope: Scope?
  /// Keep all shapes; removed channels become zeros.
  public var maskOnly = false
  public var groupReduce = GroupReduce.mean
  /// Keep a multiple of this many channels.
  public var roundTo: Int?
  /// Names of layers, with `*` and `?`; empty for all.
  public var include: [String] = []
  public var exclude: [String] = []
  public var reestimateStatistics = true

  public init(
    scorer: PluginChoice = PluginChoice(PluginChoice.defaultScorer), granularity: Granularity,
    ratio: Double, scope: Scope? = nil
  ) {
    self.scorer = scorer
    self.granularity = granularity
    self.ratio = ratio
    self.scope = scope
  }

  /// The scope where it is given or follows from the granularity; a scorer may still choose another.
  public var effectiveScope: Scope { scope ?? (granularity == .channel ? .layer : .global) }
}

/// Turning floating-point numbers into integers.
public struct QuantizeStage: Sendable, Equatable, Codable {
  public enum Mode: String, Sendable, CaseIterable, Codable {
    case `static`, dynamic
    case weightOnly = "weight-only"
  }
  public enum Calibration: String, Sendable, CaseIterable, Codable {
    case minMax = "min-max"
    case percentile
  }
  public enum WeightRange: String, Sendable, CaseIterable, Codable { case auto, full }

  public var quantizer: PluginChoice
  public var mode = Mode.static
  public var calibration = Calibration.minMax
  /// For `percentile`: the share of values inside the range, in percent, above 50 and at most 100.
  public var percentile = 99.99
  /// Calibration samples to look at, at least 1.
  public var samples = 1000
  public var weightRange = WeightRange.auto
  /// Convolutions that sum fewer products an output stay in float, at least 0.
  public var minReduction = 32
  public var include: [String] = []
  public var exclude: [String] = []

  public init(quantizer: PluginChoice = PluginChoice(PluginChoice.defaultQuantizer)) {
    self.quantizer = quantizer
  }
}
