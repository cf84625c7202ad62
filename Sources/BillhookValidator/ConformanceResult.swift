/// One test on one library or plugin, with its outcome.
public struct ConformanceResult: Sendable, Codable, Equatable {
  public var library: String
  /// Empty for a test of the library as a whole.
  public var plugin: String
  public var test: String
  public var level: ConformanceLevel
  public var rule: String
  public var claim: String
  public var status: Verdict.Status
  public var message: String
  public var seed: UInt64
  public var milliseconds: Int
  /// Reruns this test alone, in one process, for a debugger.
  public var command: String

  public init(
    library: String, plugin: String, test: String, level: ConformanceLevel, rule: String,
    claim: String, status: Verdict.Status, message: String, seed: UInt64, milliseconds: Int,
    command: String
  ) {
    self.library = library
    self.plugin = plugin
    self.test = test
    self.level = level
    self.rule = rule
    self.claim = claim
    self.status = status
    self.message = message
    self.seed = seed
    self.milliseconds = milliseconds
    self.command = command
  }

  /// True for what makes a validation fail.
  public var isFailure: Bool {
    switch status {
    case .fail, .crash, .timeout: true
    case .pass, .warn, .skip: false
    }
  }
}

/// Everything that a validation found.
public struct ConformanceReport: Sendable, Codable, Equatable {
  public var level: ConformanceLevel
  public var seed: UInt64
  public var results: [ConformanceResult]
  /// Tests that were switched off, so that a clean result cannot hide one.
  public var leftOut: [String]
  /// Libraries that could not be loaded, with the reason.
  public var unloadable: [Unloadable]

  public struct Unloadable: Sendable, Codable, Equatable {
    public var library: String
    public var reason: String

    public init(library: String, reason: String) {
      self.library = library
      self.reason = reason
    }
  }

  public init(
    level: ConformanceLevel, seed: UInt64, results: [ConformanceResult] = [],
    leftOut: [String] = [], unloadable: [Unloadable] = []
  ) {
    self.level = level
    self.seed = seed
    self.results = results
    self.leftOut = leftOut
    self.unloadable = unloadable
  }

  public func count(_ status: Verdict.Status) -> Int {
    results.count { $0.status == status }
  }

  /// 0: nothing failed; 1: a test failed, crashed or took too long; 2: nothing was tested; 3: a
  /// library could not be loaded.
  public var exitCode: Int32 {
    if !unloadable.isEmpty { return 3 }
    if results.contains(where: \.isFailure) { return 1 }
    return results.isEmpty ? 2 : 0
  }
}
