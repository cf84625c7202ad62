internal import BillhookPlugins

/// How much a plugin must keep: a failure above the chosen level is a warning.
public enum ConformanceLevel: String, Sendable, Codable, CaseIterable, Comparable {
  /// What the host relies on: a plugin that fails here breaks runs.
  case core
  /// What a good neighbour does under pressure: failures of the host, odd values, other threads.
  case strict
  /// What a published plugin should be.
  case pedantic

  public static func < (left: Self, right: Self) -> Bool {
    left.order < right.order
  }

  private var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// One rule made checkable: everything that the validator knows of a test is in this value.
public struct ConformanceTest: Sendable {
  /// What a test is about.
  public enum Scope: Sendable, Equatable {
    /// A library: runs once a file.
    case module
    /// A plugin of one of these hooks: runs once a plugin.
    case plugin(Set<HookKind>)

    static let everyHook = Scope.plugin(Set(HookKind.allCases))
    static let scorer = Scope.plugin([.scorer])
    static let loss = Scope.plugin([.loss])
    static let quantizer = Scope.plugin([.quantizer])
  }

  /// As in `--include`.
  public let name: String
  public let level: ConformanceLevel
  public let scope: Scope
  /// The rule of docs/abi.md that a failure breaks.
  public let rule: String
  /// The claim that holds for a plugin which passes.
  public let claim: String
  /// Throws a ``Violation``, ``Remark`` or ``NotApplicable``; returns when the claim holds.
  let body: @Sendable (Subject) throws -> Void

  init(
    _ name: String, _ level: ConformanceLevel, _ scope: Scope, _ rule: String, _ claim: String,
    _ body: @escaping @Sendable (Subject) throws -> Void
  ) {
    self.name = name
    self.level = level
    self.scope = scope
    self.rule = rule
    self.claim = claim
    self.body = body
  }

  /// Every test, in the order in which they are reported.
  public static let all: [ConformanceTest] =
    moduleTests + descriptorTests + hostVersionTests + instanceTests + memoryTests + inputTests
    + determinismTests + isolationTests + processTests + stateTests + scorerTests + lossTests
    + quantizerTests + exportTests

  /// Runs the test in this process.
  func verdict(on subject: Subject) -> Verdict {
    do {
      try body(subject)
      return Verdict(.pass)
    } catch let violation as Violation {
      return Verdict(.fail, violation.message)
    } catch let remark as Remark {
      return Verdict(.warn, remark.message)
    } catch let reason as NotApplicable {
      return Verdict(.skip, reason.message)
    } catch PluginError.rejected(_, let rule, _, _, _) {
      return Verdict(.skip, "the library breaks \(rule), which another test reports")
    } catch PluginError.changedFloatingPoint {
      return Verdict(.skip, "the library breaks BH-08, which another test reports")
    } catch {
      return Verdict(.fail, "\(error)")
    }
  }
}

/// The three kinds of plugin.
public enum HookKind: String, Sendable, Codable, CaseIterable {
  case scorer, loss, quantizer
}

/// How a test ended.
public struct Verdict: Sendable, Codable, Equatable {
  public enum Status: String, Sendable, Codable, CaseIterable {
    case pass, warn, fail, crash, timeout, skip
  }
  public var status: Status
  /// What was found, or why the test does not apply; empty for a pass.
  public var message: String

  public init(_ status: Status, _ message: String = "") {
    self.status = status
    self.message = message
  }
}

/// The plugin does not keep the test's claim.
struct Violation: Error {
  let message: String
  init(_ message: String) { self.message = message }
}

/// Worth knowing, but dependent on the machine or a matter of taste.
struct Remark: Error {
  let message: String
  init(_ message: String) { self.message = message }
}

/// The test says nothing about this plugin.
struct NotApplicable: Error {
  let message: String
  init(_ message: String) { self.message = message }
}

/// What a test is run on.
struct Subject: Sendable {
  let path: String
  /// Empty for a module test.
  let id: String
  let seed: UInt64

  func require(_ holds: Bool, _ otherwise: @autoclosure () -> String) throws {
    guard holds else { throw Violation(otherwise()) }
  }
}
