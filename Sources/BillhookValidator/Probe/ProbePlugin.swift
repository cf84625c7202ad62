internal import BillhookPlugins
internal import BillhookSDK
internal import Glibc

/// A plugin as its library shows it, beside what the host made of it.
///
/// Safety of `@unchecked`: constants of a library that is never unloaded.
final class ProbePlugin: @unchecked Sendable {
  let host: Plugin
  let raw: bh_plugin
  let seed: UInt64

  var descriptor: PluginDescriptor { host.descriptor }
  var id: String { descriptor.id }

  init(_ subject: Subject) throws {
    seed = subject.seed
    let plugins = try Plugin.probed(path: subject.path)
    guard let host = plugins.first(where: { $0.descriptor.id == subject.id }) else {
      throw ValidatorError.noSuchPlugin(
        id: subject.id, library: subject.path, known: plugins.map(\.descriptor.id))
    }
    self.host = host
    guard let raw = try ProbeModule(path: subject.path).plugin(subject.id) else {
      throw NotApplicable("the library shows \"\(subject.id)\" to the host only")
    }
    self.raw = raw
  }

  /// The same plugin in a worker, called as if it were here.
  init(_ subject: Subject, inWorker settings: PluginSettings) throws {
    seed = subject.seed
    let local = try ProbePlugin(subject)
    host = try Plugin.probed(path: subject.path, inWorker: settings, like: local.host)
    raw = host.probeFunctions(in: local.raw)
  }

  /// The hook's table.
  func table<T>(_ zero: T) -> T {
    let size = raw.vtable.load(as: UInt32.self)
    return copyStruct(T.self, from: raw.vtable, theirSize: size, zero: zero)
  }

  /// The declared defaults; a parameter without one gets the lowest legal value, and text "x".
  func ordinaryValues() -> [ParameterValue] {
    descriptor.parameters.map { parameter in
      guard parameter.isRequired else { return parameter.defaultValue }
      let low = parameter.range.lowerBound
      let number = low.isFinite ? low : min(1, parameter.range.upperBound)
      return switch parameter.kind {
      case .int: .int(Int64(number.rounded(.up)))
      case .double: .double(number)
      case .bool: .bool(false)
      case .choice: .string(parameter.choices.first ?? "")
      case .string: .string("x")
      case .ints: .ints([Int64(number.rounded(.up))])
      case .doubles: .doubles([number])
      }
    }
  }
}

/// A library's own description of itself.
struct ProbeModule {
  typealias Entry = @convention(c) () -> UnsafePointer<bh_module>?

  let path: String
  let entry: Entry

  init(path: String) throws {
    self.path = path
    guard let resolved = realpath(path, nil) else {
      throw NotApplicable("\(String(cString: strerror(errno)))")
    }
    defer { free(resolved) }
    guard let handle = dlopen(resolved, RTLD_NOW | RTLD_LOCAL) else {
      throw Violation(String(cString: dlerror()))
    }
    guard let symbol = dlsym(handle, "billhook_module_v1") else {
      throw Violation("\"billhook_module_v1\" is not exported")
    }
    entry = unsafeBitCast(symbol, to: Entry.self)
  }

  /// The module as far as both sides know it; nil when the entry gives none.
  func module() -> bh_module? {
    guard let pointer = entry() else { return nil }
    return copyStruct(
      bh_module.self, from: pointer, theirSize: pointer.pointee.struct_size, zero: bh_module())
  }

  func plugins() -> [bh_plugin] {
    guard let module = module(), let entries = module.plugins else { return [] }
    return (0..<Int(module.n_plugins)).compactMap { entries[$0] }.map {
      copyStruct(bh_plugin.self, from: $0, theirSize: $0.pointee.struct_size, zero: bh_plugin())
    }
  }

  func plugin(_ id: String) -> bh_plugin? {
    plugins().first { $0.id != nil && String(cString: $0.id) == id }
  }
}
