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
  public var stateVersion: UInt32
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
  public var abi: String
}

public enum Granularity: String, Sendable, CaseIterable {
  case element
  case outputChannel = "output-channel"
  case inputChannel = "input-channel"
  case block
}

/// `BH_CAP_*` flags.
public struct Capabilities: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// `BH_NEED_*` flags: statistics that the host must compute before it calls.
public struct Needs: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// One declared parameter.
public struct ParameterDescriptor: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case int, double, bool, choice, string, ints, doubles
  }
  public var key: String
  public var kind: Kind
  public var doc: String
  public var unit: String
  public var defaultValue: ParameterValue
  /// Inclusive; infinite where there is none.
  public var range: ClosedRange<Double>
  public var choices: [String]
  public var isRequired: Bool
}

public enum ParameterValue: Sendable, Equatable, CustomStringConvertible {
  case int(Int64)
  case double(Double)
  case bool(Bool)
  case string(String)
  case ints([Int64])
  case doubles([Double])

  public var description: String {
    switch self {
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): value
    case .ints(let values): values.map { "\($0)" }.joined(separator: ",")
    case .doubles(let values): values.map { "\($0)" }.joined(separator: ",")
    }
  }
}
