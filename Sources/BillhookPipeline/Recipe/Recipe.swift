public import BillhookPlugins

/// What to do with a network, start to end: the content of a recipe file.
///
/// The values are complete (defaults filled in) and well-formed one by one; whether they fit the
/// network, the data and the plugins is ``RecipeCheck``'s to say.
public struct Recipe: Sendable, Equatable, Codable {
  /// The version of the recipe format that this type stands for.
  public static let formatVersion = 1

  public var model: ModelOrigin
  public var data: RecipeData
  public var seed: UInt64
  /// The folder that gets all written files.
  public var output: String
  public var stages: [Stage]

  public init(
    model: ModelOrigin, data: RecipeData, seed: UInt64 = 0, output: String, stages: [Stage]
  ) {
    self.model = model
    self.data = data
    self.seed = seed
    self.output = output
    self.stages = stages
  }
}

/// Where the first network comes from.
public enum ModelOrigin: Sendable, Equatable, Codable {
  case file(String)
  case new(NewNetwork)
}

/// A network with fresh weights.
public struct NewNetwork: Sendable, Equatable, Codable {
  public var architecture: String
  /// Channels of the first layer; the architecture's own when nil.
  public var width: Int?
  /// Channels of the image; the architecture's own when nil.
  public var channels: Int?
  public var classes: Int
  /// Height and width of the image in pixels.
  public var image: Int
  /// The recipe's seed when nil.
  public var seed: UInt64?

  public init(
    architecture: String, width: Int? = nil, channels: Int? = nil, classes: Int = 10,
    image: Int = 28, seed: UInt64? = nil
  ) {
    self.architecture = architecture
    self.width = width
    self.channels = channels
    self.classes = classes
    self.image = image
    self.seed = seed
  }
}

/// The data of a recipe, by what it is for.
public struct RecipeData: Sendable, Equatable, Codable {
  /// For training and distillation.
  public var train: DataSource?
  /// For the evaluation after each stage.
  public var test: DataSource?
  /// For statistics of scorers and ranges of quantizers; the training data when nil.
  public var calibration: DataSource?

  public init(train: DataSource? = nil, test: DataSource? = nil, calibration: DataSource? = nil) {
    self.train = train
    self.test = test
    self.calibration = calibration
  }
}

/// One entry of the recipe's list.
public struct Stage: Sendable, Equatable, Codable {
  public enum Work: Sendable, Equatable, Codable {
    case train(TrainStage)
    case prune(PruneStage)
    case distill(DistillStage)
    case quantize(QuantizeStage)
    case evaluate
  }

  public var work: Work
  /// The name of the file in the output folder that keeps the stage's network; nil for none.
  public var save: String?

  public init(_ work: Work, save: String? = nil) {
    self.work = work
    self.save = save
  }

  /// The word that names the stage in a recipe.
  public var name: String {
    switch work {
    case .train: "train"
    case .prune: "prune"
    case .distill: "distill"
    case .quantize: "quantize"
    case .evaluate: "evaluate"
    }
  }

  /// True for the stages whose result is judged against the network before them.
  var compresses: Bool {
    switch work {
    case .prune, .distill, .quantize: true
    case .train, .evaluate: false
    }
  }

  /// The output that the stage's loss looks at, where it was named.
  var networkOutput: String? {
    switch work {
    case .train(let stage): stage.training.networkOutput
    case .distill(let stage): stage.training.networkOutput
    case .prune, .quantize, .evaluate: nil
    }
  }

  /// True for the stages that train: long work whose state is kept after each epoch.
  var trains: Bool {
    switch work {
    case .train, .distill: true
    case .prune, .quantize, .evaluate: false
    }
  }
}

/// A plugin as a recipe names it: by id or path, with parameters as text.
public struct PluginChoice: Sendable, Equatable, Codable {
  public var plugin: String
  /// In the order given. What the texts mean, the plugin's declaration says.
  public var parameters: [Parameter]
  /// Where the plugin must run at least; nil leaves it to the trust file.
  public var isolation: Isolation?
  /// What happens when it crashes; nil leaves it to the command line.
  public var onCrash: CrashPolicy?

  public struct Parameter: Sendable, Equatable, Codable {
    public var key: String
    /// One text, or several for a list.
    public var values: [String]
    public var isList: Bool

    public init(key: String, values: [String], isList: Bool) {
      self.key = key
      self.values = values
      self.isList = isList
    }
  }

  public init(_ plugin: String, parameters: [Parameter] = []) {
    self.plugin = plugin
    self.parameters = parameters
  }

  /// The plugins used when nothing is said.
  public static let defaultScorer = "magnitude"
  public static let defaultLoss = "kl-divergence"
  public static let defaultQuantizer = "affine-int8"
}
