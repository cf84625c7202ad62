internal import BillhookSDK

/// An instance that the plugin made; ended with this object.
final class PluginInstance {
  let plugin: Plugin
  let seed: UInt64
  /// As they were given.
  let parameters: [String: ParameterValue]
  /// The plugin's own; null is legal for one without state.
  let pointer: UnsafeMutableRawPointer?

  init(
    plugin: Plugin, seed: UInt64, parameters: [String: ParameterValue],
    pointer: UnsafeMutableRawPointer?
  ) {
    self.plugin = plugin
    self.seed = seed
    self.parameters = parameters
    self.pointer = pointer
  }

  deinit {
    let earlier = FaultMark.enter(plugin.markedName, "destroy")
    plugin.entry.destroy(pointer)
    FaultMark.leave(earlier)
  }

  var id: String { plugin.descriptor.id }

  func context() -> CallContext { CallContext(plugin: plugin, seed: seed) }

  func context(_ layer: LayerContext) -> CallContext {
    CallContext(plugin: plugin, seed: seed, layer: (layer.index, layer.name))
  }

  // MARK: - State

  /// Forgets what the instance observed or loaded.
  ///
  /// - Throws: ``PluginError``, also for a plugin without `reset`.
  func reset() throws(PluginError) {
    guard let reset = plugin.entry.reset else { throw .noState(plugin: id, function: "reset") }
    try context().run("reset") { reset(pointer, $0) }
  }

  /// What the instance observed, as the plugin writes it.
  func save() throws(PluginError) -> SavedState {
    guard let save = plugin.entry.save, let version = plugin.descriptor.stateVersion else {
      throw .noState(plugin: id, function: "save")
    }
    let sink = StateSink()
    try withExtendedLifetime(sink) { () throws(PluginError) in
      var writer = bh_writer()
      writer.context = Unmanaged.passUnretained(sink).toOpaque()
      writer.write = { writer, data, count in
        guard let context = writer?.pointee.context else { return -1 }
        return Unmanaged<StateSink>.fromOpaque(context).takeUnretainedValue().take(data, count)
      }
      try context().run("save") { call in
        withUnsafePointer(to: &writer) { save(pointer, call, $0) }
      }
    }
    return SavedState(plugin: id, version: version, bytes: sink.bytes)
  }

  /// Puts what `save` wrote in place of what the instance observed.
  func load(_ state: SavedState) throws(PluginError) {
    guard let load = plugin.entry.load else { throw .noState(plugin: id, function: "load") }
    try reading(state) { (reader) throws(PluginError) in
      try context().run("load") { load(pointer, $0, reader, state.version) }
    }
  }

  /// A reader of a state, while `body` runs.
  func reading(
    _ state: SavedState, _ body: (UnsafePointer<bh_reader>) throws(PluginError) -> Void
  ) throws(PluginError) {
    guard state.plugin == id else {
      throw .foreignState(plugin: id, found: state.plugin)
    }
    let source = StateSource(state.bytes)
    let reader = UnsafeMutablePointer<bh_reader>.allocate(capacity: 1)
    defer { reader.deallocate() }
    reader.initialize(to: bh_reader())
    reader.pointee.context = Unmanaged.passUnretained(source).toOpaque()
    reader.pointee.read = { reader, data, count in
      guard let context = reader?.pointee.context else { return -1 }
      return Unmanaged<StateSource>.fromOpaque(context).takeUnretainedValue().give(data, count)
    }
    try withExtendedLifetime(source) { () throws(PluginError) in try body(reader) }
  }
}

/// What an instance observed, as its plugin wrote it.
public struct SavedState: Sendable, Equatable {
  /// The id of the plugin that wrote it, and its version of the state.
  public var plugin: String
  public var version: UInt32
  public var bytes: [UInt8]

  /// More than a plugin has any reason to write, and little enough to hold.
  static let limit = 1 << 30

  public init(plugin: String, version: UInt32, bytes: [UInt8]) {
    self.plugin = plugin
    self.version = version
    self.bytes = bytes
  }
}

private final class StateSink {
  var bytes: [UInt8] = []

  func take(_ data: UnsafeRawPointer?, _ count: UInt64) -> Int64 {
    guard count > 0 else { return 0 }
    guard let data, count <= UInt64(SavedState.limit - bytes.count) else { return -1 }
    bytes.append(contentsOf: UnsafeRawBufferPointer(start: data, count: Int(count)))
    return Int64(count)
  }
}

private final class StateSource {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func give(_ data: UnsafeMutableRawPointer?, _ count: UInt64) -> Int64 {
    let given = Int(min(count, UInt64(bytes.count - position)))
    guard given > 0 else { return 0 }
    guard let data else { return -1 }
    bytes.withUnsafeBytes { bytes in
      data.copyMemory(from: bytes.baseAddress! + position, byteCount: given)
    }
    position += given
    return Int64(given)
  }
}
