internal import BillhookPlugins
internal import BillhookSDK
internal import Synchronization

/// An instance that the plugin made, with its functions called directly.
final class ProbeInstance: @unchecked Sendable {
  let plugin: ProbePlugin
  let pointer: UnsafeMutableRawPointer?
  private let parameters: ProbeParameters
  private let isEnded = Atomic<Bool>(false)
  private static let initialized = Mutex<Set<String>>([])

  /// - Throws: ``NotApplicable`` when the plugin does not make one: that it does is a test of its own.
  convenience init(
    _ plugin: ProbePlugin, _ values: [ParameterValue]? = nil,
    in surroundings: Surroundings = Surroundings()
  ) throws {
    let made = Self.create(plugin, values ?? plugin.ordinaryValues(), in: surroundings)
    guard made.outcome.status >= 0 else {
      throw NotApplicable(
        "\"create\" failed with \(made.outcome.status): \(made.outcome.message ?? "no text")")
    }
    self.init(plugin, made.pointer, made.parameters)
  }

  private init(
    _ plugin: ProbePlugin, _ pointer: UnsafeMutableRawPointer?, _ parameters: ProbeParameters
  ) {
    self.plugin = plugin
    self.pointer = pointer
    self.parameters = parameters
  }

  deinit { end() }

  /// What `create` does with any values; the instance, if there is one, is the caller's to end.
  static func create(
    _ plugin: ProbePlugin, _ values: [ParameterValue], in surroundings: Surroundings
  ) -> (
    outcome: Plugin.ProbeOutcome, record: ProbeHost.Record, pointer: UnsafeMutableRawPointer?,
    parameters: ProbeParameters
  ) {
    let parameters = ProbeParameters(plugin.host, values)
    nonisolated(unsafe) var pointer: UnsafeMutableRawPointer?
    let (outcome, record) = ProbeHost.call(
      plugin.host, seed: plugin.seed, in: surroundings
    ) { call in
      let status = initialize(plugin, call)
      guard status >= 0 else {
        hasFailedInit = true
        return status
      }
      return withUnsafeMutablePointer(to: &pointer) {
        plugin.raw.create(call, parameters.values, $0)
      }
    }
    return (outcome, record, pointer, parameters)
  }

  /// Set when the module's `init` failed, so that no instance can be made.
  /// Safety: written before any test of instances goes on.
  nonisolated(unsafe) private(set) static var hasFailedInit = false

  /// The module's `init`, once a process, as the host calls it.
  private static func initialize(
    _ plugin: ProbePlugin, _ call: UnsafeMutablePointer<bh_call>
  ) -> bh_status {
    let path = plugin.descriptor.module.path
    let isFirst = initialized.withLock { $0.insert(path).inserted }
    guard isFirst, let initialize = try? ProbeModule(path: path).module()?.`init` else {
      return BH_OK
    }
    return initialize(ProbeHost.realTable)
  }

  /// Ends the instance; a second time does nothing.
  func end() {
    guard !isEnded.exchange(true, ordering: .relaxed) else { return }
    plugin.raw.destroy(pointer)
  }

  func call(
    _ surroundings: Surroundings, layer: LayerContext? = nil,
    _ body: (UnsafeMutablePointer<bh_call>) -> bh_status
  ) -> Observation {
    let (outcome, record) = ProbeHost.call(
      plugin.host, seed: plugin.seed, layer: layer, in: surroundings, body)
    return Observation(outcome, record)
  }
}

/// How a call went and what it wrote.
struct Observation: Sendable {
  var status: bh_status
  var message: String?
  var hasChangedFloatingPoint: Bool
  var record: ProbeHost.Record
  var outputs: [OutputBytes] = []

  init(_ outcome: Plugin.ProbeOutcome, _ record: ProbeHost.Record) {
    status = outcome.status
    message = outcome.message
    hasChangedFloatingPoint = outcome.hasChangedFloatingPoint
    self.record = record
  }

  var isFailure: Bool { status < 0 }

  var described: String { "\(statusName(status)): \(message ?? "no text")" }

  /// The output of a name; empty when the call did not get that far.
  subscript(_ name: String) -> OutputBytes? { outputs.first { $0.name == name } }
}

/// A status as the header writes it.
func statusName(_ status: bh_status) -> String {
  switch status {
  case BH_OK: "BH_OK"
  case BH_SKIP: "BH_SKIP"
  case BH_E_INVALID_ARG: "BH_E_INVALID_ARG"
  case BH_E_UNSUPPORTED: "BH_E_UNSUPPORTED"
  case BH_E_NO_MEMORY: "BH_E_NO_MEMORY"
  case BH_E_CANCELLED: "BH_E_CANCELLED"
  case BH_E_BAD_STATE: "BH_E_BAD_STATE"
  case BH_E_NUMERIC: "BH_E_NUMERIC"
  case BH_E_IO: "BH_E_IO"
  case BH_E_INTERNAL: "BH_E_INTERNAL"
  default: "status \(status)"
  }
}
