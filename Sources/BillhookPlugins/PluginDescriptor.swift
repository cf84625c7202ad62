internal import BillhookSDK

/// What a plugin says of itself, checked and copied out of the library.
public struct PluginDescriptor: Sendable, Equatable {
  public enum Hook: String, Sendable, CaseIterable { case scorer, loss, quantizer }

  public var id: String
  public var name: String
  public var summary: String
  public var doc: String
  public var hook: Hook
  public var parameters: [ParameterDescriptor]
  public var capabilities: Capabilities
  public var needs: Needs
  /// What a scorer can score; empty for other hooks.
  public var granularities: Set<Granularity>
  public var module: ModuleDescriptor
}

/// The library that a plugin came in.
public struct ModuleDescriptor: Sendable, Equatable {
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

public enum Granularity: String, Sendable, CaseIterable {
  case element
  case outputChannel = "output-channel"
  case inputChannel = "input-channel"

  var code: UInt32 {
    switch self {
    case .element: UInt32(BH_GRANULARITY_ELEMENT)
    case .outputChannel: UInt32(BH_GRANULARITY_OUT_CHANNEL)
    case .inputChannel: UInt32(BH_GRANULARITY_IN_CHANNEL)
    }
  }

  var bit: UInt32 {
    switch self {
    case .element: BH_GRANULARITY_BIT_ELEMENT
    case .outputChannel: BH_GRANULARITY_BIT_OUT_CHANNEL
    case .inputChannel: BH_GRANULARITY_BIT_IN_CHANNEL
    }
  }
}

/// `BH_CAP_*` flags.
public struct Capabilities: OptionSet, Sendable {
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
  /// Element scores are comparable across layers.
  public static let globalScale = Capabilities(rawValue: BH_CAP_GLOBAL_SCALE)

  /// The flags' names, in the order of their bits, for `plugin show` and reports.
  public var names: [String] {
    let known: [(Capabilities, String)] = [
      (.deterministic, "deterministic"), (.concurrent, "concurrent"), (.chunked, "chunked"),
      (.dataFree, "data-free"), (.globalScale, "global-scale"),
    ]
    return known.filter { contains($0.0) }.map(\.1)
  }
}

/// `BH_NEED_*` flags: statistics that the host must compute before it calls.
public struct Needs: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public static let inputAbsMean = Needs(rawValue: BH_NEED_IN_ABS_MEAN)
  public static let inputSquaredNorm = Needs(rawValue: BH_NEED_IN_SQ_NORM)
  public static let outputAbsMean = Needs(rawValue: BH_NEED_OUT_ABS_MEAN)
  public static let outputZeroFraction = Needs(rawValue: BH_NEED_OUT_ZERO_FRACTION)
  public static let previousMask = Needs(rawValue: BH_NEED_PREV_MASK)

  static let all: Needs = [
    .inputAbsMean, .inputSquaredNorm, .outputAbsMean, .outputZeroFraction, .previousMask,
  ]

  /// The statistics' names, in the order of their bits.
  public var names: [String] {
    let known: [(Needs, String)] = [
      (.inputAbsMean, "in_abs_mean"), (.inputSquaredNorm, "in_sq_norm"),
      (.outputAbsMean, "out_abs_mean"), (.outputZeroFraction, "out_zero_fraction"),
      (.previousMask, "mask"),
    ]
    return known.filter { contains($0.0) }.map(\.1)
  }
}
