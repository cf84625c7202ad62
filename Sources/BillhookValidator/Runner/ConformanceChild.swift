internal import BillhookPlugins
internal import Foundation
internal import Glibc

/// What a library holds, found out in a process of its own.
struct LibraryContents: Codable, Equatable {
  struct Entry: Codable, Equatable {
    var id: String
    var hook: HookKind
  }
  /// Empty when a rule of the descriptors is broken: the module tests say which.
  var plugins: [Entry] = []
  /// Why the file is no library that can be loaded.
  var unloadable: String?

  init(unloadable: String) { self.unloadable = unloadable }

  init(path: String) {
    do {
      plugins = try Plugin.probed(path: path).map { plugin in
        Entry(id: plugin.descriptor.id, hook: HookKind(plugin.descriptor.hook))
      }
    } catch .rejected(_, let rule, _, _, _) where rule != "BH-20" {
      return
    } catch .changedFloatingPoint {
      return
    } catch {
      unloadable = "\(error)"
    }
  }
}

extension HookKind {
  init(_ hook: PluginDescriptor.Hook) {
    self =
      switch hook {
      case .scorer: .scorer
      case .loss: .loss
      case .quantizer: .quantizer
      }
  }
}

/// The side of a test that touches the plugin: started by ``ConformanceRunner``.
public enum ConformanceChild {
  /// Runs one test, or describes the library when there is none, and leaves the answer in the
  /// inherited file. Returns only then: a plugin that ends the process leaves no answer.
  public static func run(path: String, id: String, test name: String?, seed: UInt64) throws {
    Plugin.endWithParent()
    var noCore = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &noCore)
    _ = fcntl(ChildProcess.answerDescriptor, F_SETFD, FD_CLOEXEC)
    guard let name else { return try answer(LibraryContents(path: path)) }
    guard let test = ConformanceTest.all.first(where: { $0.name == name }) else {
      throw ValidatorError.unknownTest(name: name)
    }
    let subject = Subject(path: realpathOf(path), id: id, seed: seed)
    try answer(try inEmptyFolder { test.verdict(on: subject) })
  }

  /// Leaves an answer and ends the process.
  static func answer(_ value: some Encodable) throws {
    try leave(value)
    // Without exit handlers: a plugin's would run after the verdict.
    _exit(0)
  }

  /// Leaves an answer in place of the last one.
  static func leave(_ value: some Encodable) throws {
    let bytes = try JSONEncoder().encode(value)
    ftruncate(ChildProcess.answerDescriptor, 0)
    let written = bytes.withUnsafeBytes {
      pwrite(ChildProcess.answerDescriptor, $0.baseAddress, $0.count, 0)
    }
    guard written == bytes.count else {
      throw ValidatorError.cannotWrite(
        path: "descriptor \(ChildProcess.answerDescriptor)",
        reason: String(cString: strerror(errno)))
    }
  }
}
