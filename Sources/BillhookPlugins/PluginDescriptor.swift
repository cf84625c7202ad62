internal import BillhookSDK
public import BillhookTensor

/// What a plugin says of itself, checked and copied out of the library.
public struct PluginDescriptor: Sendable, Equatable, Codable {
  public enum Hook: String, Sendable, Codable, CaseIterable { case scorer, loss, quantizer }

  public var id: String
  public var name: String
  public var summary: String
  public var doc: String
  public var hook: Hook
  public var parameters: [ParameterDescriptor]
  public var capabilities: Capabilities
  public var needs: Needs
  /// What a scorer can score; empty for other hooks.
  public var granularities: [Granularity]
  /// The element types in which a scorer takes a whole layer's weight; float32 always.
  public var weightTypes: [ElementType]
  /// The version of the state that the plugin saves; nil when it saves none.
  public var stateVersion: UInt32?
  public var module: ModuleDescriptor
  /// How its functions are called, of a plugin without the SDK.
  public var plain: PlainDescription?
}

/// The library that a plugin came in.
public struct ModuleDescriptor: Sendable, Equatable, Codable {
  public var id: String
  public var version: String
  public var vendor: String
  public var license: String
  public var url: String
  public var path: String
  /// Lower-case hexadecimal SHA-256 of the file that was loaded.
  public var sha256: String
  /// Version of the headers that the library was built with, as "0.0".
  public var abi: String
}

public enum Granularity: String, Sendable, Codable, CaseIterable {
  case element
  case outputChannel = "output-channel"
  case inputChannel = "input-channel"
  case block

  var code: UInt32 {
    switch self {
    case .element: UInt32(BH_GRANULARITY_ELEMENT)
    case .outputChannel: UInt32(BH_GRANULARITY_OUT_CHANNEL)
    case .inputChannel: UInt32(BH_GRANULARITY_IN_CHANNEL)
    case .block: UInt32(BH_GRANULARITY_BLOCK)
    }
  }

  var bit: UInt32 {
    switch self {
    case .element: BH_GRANULARITY_BIT_ELEMENT
    case .outputChannel: BH_GRANULARITY_BIT_OUT_CHANNEL
    case .inputChannel: BH_GRANULARITY_BIT_IN_CHANNEL
    case .block: BH_GRANULARITY_BIT_BLOCK
    }
  }
}

/// `BH_CAP_*` flags.
public struct Capabilities: OptionSet, Sendable, Codable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Same inputs, parameters and seed: same bytes.
  public static let deterministic = Capabilities(rawValue: BH_CAP_DETERMINISTIC)
  /// One instance may be called on several threads at the same time.
  public static let concurrent = Capabilities(rawValue: BH_CAP_CONCURRENT)
  /// Scores elements piece by piece.
  public static let chunked = Capabilities(rawValue: BH_CAP_CHUNKED)
  /// Needs no data, only weights.
  public static let dataFree = Capabilities(rawValue: BH_CAP_DATA_FREE)
  /// Element and block scores are comparable across layers.
  public static let globalScale = Capabilities(rawValue: BH_CAP_GLOBAL_SCALE)
  /// Observes batch by batch; without it, all samples at once.
  public static let streaming = Capabilities(rawValue: BH_CAP_STREAMING)
  /// What several instances observed can be merged.
  public static let mergeable = Capabilities(rawValue: BH_CAP_MERGEABLE)
  /// Works only in the host's own process.
  public static let requiresInProcess = Capabilities(rawValue: BH_CAP_REQUIRES_INPROC)

  /// The flags from 2^32 on that this host acts on.
  static let mustUnderstand: Capabilities = [.requiresInProcess]

  /// The flags' names, in the order of their bits, for `plugin show` and reports.
  public var names: [String] {
    let known: [(Capabilities, String)] = [
      (.deterministic, "deterministic"), (.concurrent, "concurrent"), (.chunked, "chunked"),
      (.dataFree, "data-free"), (.globalScale, "global-scale"), (.streaming, "streaming"),
      (.mergeable, "mergeable"), (.requiresInProcess, "requires-inproc"),
    ]
    return known.filter { contains($0.0) }.map(\.1)
  }
}

/// `BH_NEED_*` flags: what the host must have before it calls.
public struct Needs: OptionSet, Sendable, Codable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public static let inputAbsMean = Needs(rawValue: BH_NEED_IN_ABS_MEAN)
  public static let inputSquaredNorm = Needs(rawValue: BH_NEED_IN_SQ_NORM)
  public static let outputAbsMean = Needs(rawValue: BH_NEED_OUT_ABS_MEAN)
  public static let outputZeroFraction = Needs(rawValue: BH_NEED_OUT_ZERO_FRACTION)
  public static let previousMask = Needs(rawValue: BH_NEED_PREV_MASK)

  /// The mean gradient of a loss with respect to the weight.
  public static let weightGradient = Needs(rawValue: BH_NEED_WEIGHT_GRAD)
  public static let inputGram = Needs(rawValue: BH_NEED_IN_GRAM)
  /// The layer's inputs, outputs and the gradient of the outputs, batch by batch.
  public static let rawInput = Needs(rawValue: BH_NEED_RAW_IN)
  public static let rawOutput = Needs(rawValue: BH_NEED_RAW_OUT)
  public static let rawOutputGradient = Needs(rawValue: BH_NEED_RAW_GRAD_OUT)
  /// Of losses.
  public static let teacher = Needs(rawValue: BH_NEED_TEACHER)
  public static let labels = Needs(rawValue: BH_NEED_LABELS)
  public static let features = Needs(rawValue: BH_NEED_FEATURES)

  /// What `observe` is for.
  public static let raw: Needs = [.rawInput, .rawOutput, .rawOutputGradient]
  /// What takes a run backwards through the network.
  public static let gradients: Needs = [.weightGradient, .rawOutputGradient]

  static func known(to hook: PluginDescriptor.Hook) -> Needs {
    switch hook {
    case .scorer:
      [
        .inputAbsMean, .inputSquaredNorm, .outputAbsMean, .outputZeroFraction, .previousMask,
        .weightGradient, .inputGram, .rawInput, .rawOutput, .rawOutputGradient,
      ]
    case .loss: [.teacher, .labels, .features]
    case .quantizer: []
    }
  }

  /// The needs' names, in the order of their bits.
  public var names: [String] {
    let known: [(Needs, String)] = [
      (.inputAbsMean, "in_abs_mean"), (.inputSquaredNorm, "in_sq_norm"),
      (.outputAbsMean, "out_abs_mean"), (.outputZeroFraction, "out_zero_fraction"),
      (.previousMask, "mask"), (.weightGradient, "grad"), (.inputGram, "in_gram"),
      (.rawInput, "raw in"), (.rawOutput, "raw out"), (.rawOutputGradient, "raw grad_out"),
      (.teacher, "teacher"), (.labels, "labels"), (.features, "features"),
    ]
    return known.filter { contains($0.0) }.map(\.1)
  }
}

extension ElementType {
  /// `BH_DTYPE_*` of the types that a plugin may list; nil for others.
  var dtypeCode: UInt32? {
    switch self {
    case .float16: 2 | 16 << 8
    case .float32: 2 | 32 << 8
    case .bfloat16: 4 | 16 << 8
    default: nil
    }
  }
}
