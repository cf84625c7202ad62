public import BillhookCompression

/// What a run did, stage by stage. Each number was measured on the written file.
public struct Report: Sendable, Codable, Equatable {
  /// The name and version of this layout, for programs that read it.
  public static let schema = "billhook.report/1"

  public struct DataSummary: Sendable, Codable, Equatable {
    /// train, test or calibration.
    public var role: String
    public var source: String
    public var samples: Int
    public var labelled: Bool
    public var sha256: String
  }

  public struct Machine: Sendable, Codable, Equatable {
    /// The widest vector instructions in use.
    public var instructionSet: String
    public var threads: Int
  }

  public var schema = Report.schema
  public var version: String
  public var recipe: String
  public var recipeSHA256: String
  public var seed: UInt64
  public var data: [DataSummary]
  public var machine: Machine
  public var stages: [StageReport]
  public var plugins: [PluginUse]
  public var warnings: [String]
}

/// One row of the ledger.
public struct StageReport: Sendable, Codable, Equatable {
  /// Position in the recipe from 0; nil for the network that the recipe starts from.
  public var index: Int?
  /// `train`, `prune` …; `model` for the network that the recipe starts from.
  public var stage: String
  /// The settings in a few words.
  public var summary: String
  /// True for the network that the others are compared with.
  public var isTeacher: Bool
  /// The written file: its name in the output folder.
  public var file: String
  public var bytes: Int
  /// Nil without labelled test data.
  public var evaluation: Evaluation?
  /// top-1 minus the teacher's; nil for the teacher and before it.
  public var changeAgainstTeacher: Double?
  /// The share of test samples (positions, pixels) with the teacher's class; only for unlabelled test
  /// data, and where the network tells classes.
  public var agreementWithTeacher: Double?
  /// The size of the difference of the outputs from the teacher's, as a share of those; only for
  /// unlabelled test data.
  public var differenceFromTeacher: Double?
  public var parameters: Int
  /// Multiply-adds for one sample.
  public var macs: Int
  /// Zeros among the weights of layers, 0...1.
  public var sparsity: Double
  public var latencyBatch1: Latency?
  public var latencyBatch128: Latency?
  /// Time that the stage's own work took, without measuring.
  public var seconds: Double
  /// True when the result was kept from an earlier run.
  public var isResumed: Bool
  public var layers: [LayerCost]
  public var record: StageRecord
  public var plugins: [PluginUse]
  public var warnings: [String]
}

/// What a stage says of its own work.
public enum StageRecord: Sendable, Codable, Equatable {
  case none
  case train(TrainRecord)
  case prune(PruneRecord)
  case distill(TrainRecord)
  case quantize(QuantizeRecord)
}

/// How long one run of a network takes.
public struct Latency: Sendable, Codable, Equatable {
  public var batchSize: Int
  public var threads: Int
  public var medianSeconds: Double
  public var percentile95Seconds: Double
  /// Timed runs, after the warm-up.
  public var runs: Int
}
